/** Separation of what is heard now: a source of Web Audio in, a node with one stem of it out. */

import { UnmaskError } from "./metadata.js";

// A worker that is this long behind does not catch up.
const MOST_BEHIND_S = 2;

/**
 * Make a node that gives one stem of what is connected to it.
 *
 * A worker runs the network, so neither the page nor the audio thread waits for it. Sample n comes
 * out `delay` samples after it went in: what the streamer holds back, a hop that is gathered, and the
 * slack that the worker may be late by.
 *
 * @param {Uint8Array} bytes the .onnx file
 * @param {{nChannels?: number, stem?: string, slack?: number, onReport?: function,
 *   context?: function}} [options] `stem`: the first by default; `slack` in seconds; `onReport`:
 *   called once a second with `{nHeard, nLate}`, or `{error}` when it ended by itself; `context`:
 *   makes the AudioContext of a sample rate
 * @returns {Promise<{context: AudioContext, node: AudioWorkletNode, name: string, stem: string,
 *   delay: number, close: function}>}
 */
export async function startLive(bytes, options = {}) {
  const { nChannels = 1, stem, slack = 0.05, onReport = () => {} } = options;
  const { context: makeContext = (sampleRate) => new AudioContext({ sampleRate }) } = options;
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  let context;
  const close = async () => {
    worker.terminate();
    if (context?.state !== "closed") await context?.close();
  };
  try {
    const model = await answer(worker, { bytes, nChannels, stem });
    const { sampleRate, hop, latency } = model;
    context = makeContext(sampleRate);
    await context.audioWorklet.addModule(new URL("./worklet.js", import.meta.url));
    const delay = latency + hop + Math.ceil(slack * sampleRate);
    const most = delay + MOST_BEHIND_S * sampleRate;
    const node = new AudioWorkletNode(context, "unmask-separated", {
      processorOptions: { nChannels, block: hop, delay, most },
      channelCount: nChannels,
      channelCountMode: "explicit",
      outputChannelCount: [nChannels],
    });
    const end = (error) => close().then(() => onReport({ error }));
    node.port.onmessage = ({ data: { isLost, ...report } }) =>
      isLost ? end(`${model.name}: too slow on this device; take a smaller model`) : onReport(report);
    worker.onmessage = ({ data: { error } }) => end(error);
    const { port1, port2 } = new MessageChannel();
    worker.postMessage({ port: port1 }, [port1]);
    node.port.postMessage(port2, [port2]);
    return { context, node, name: model.name, stem: model.stem, delay, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Ask a worker, once. */
async function answer(worker, question) {
  const data = await new Promise((resolve) => {
    worker.onmessage = (event) => resolve(event.data);
    worker.onerror = (event) => resolve({ error: event.message ?? "the worker did not start" });
    worker.postMessage(question);
  });
  if (data.error) throw new UnmaskError(data.error);
  return data;
}
