/** The half of a live separation that runs the network: blocks in, the same samples of a stem out. */

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.bundle.min.mjs";

import { Streamer, loadModel } from "./unmask.js";

ort.env.wasm.numThreads = 1;
let [streamer, stem] = [];

async function load({ bytes, nChannels, stem: wanted }) {
  const model = await loadModel(ort, bytes);
  streamer = new Streamer(model, { nChannels });
  stem = wanted ?? streamer.stems[0];
  const { sampleRate, frontend, name } = model;
  return { name, sampleRate, stem, hop: frontend.hop, latency: streamer.latency };
}

/** Separate what comes from the audio thread; what overlaps is done in its order. */
function serve(port) {
  port.onmessage = async ({ data: block }) => {
    try {
      const ready = (await streamer.process(block))[stem].map((samples) => samples.slice());
      if (ready[0].length) port.postMessage(ready, ready.map((samples) => samples.buffer));
    } catch (error) {
      self.postMessage({ error: error.message });
    }
  };
}

self.onmessage = async ({ data }) => {
  if (data.port) return serve(data.port);
  try {
    self.postMessage(await load(data));
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};
