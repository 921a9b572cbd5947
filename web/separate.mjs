/**
 * Separate samples with Node: `node separate.mjs MODEL.onnx IN.f32 OUT.f32 [CHANNELS [BLOCK]]`.
 *
 * Files hold float32 samples at the model's rate, channel after channel; out go the stems and the
 * residual, each as the input. With BLOCK the input is streamed in blocks of that many samples. Says
 * how often real time it ran.
 */

import { readFile, writeFile } from "node:fs/promises";

import * as ort from "onnxruntime-web";

import { Streamer, loadModel } from "./unmask.js";

const [modelPath, inPath, outPath, channels = "1", block] = process.argv.slice(2);
ort.env.wasm.numThreads = 1;
const model = await loadModel(ort, new Uint8Array(await readFile(modelPath)));
const samples = new Float32Array((await readFile(inPath)).buffer.slice(0));
const nChannels = Number(channels);
const nSamples = samples.length / nChannels;
const mixture = Array.from({ length: nChannels }, (_, channel) =>
  samples.subarray(channel * nSamples, (channel + 1) * nSamples),
);
const start = performance.now();
const cpu = process.cpuUsage();
let stems;
if (block) {
  const streamer = new Streamer(model, { nChannels, residual: true });
  const parts = [];
  for (let k = 0; k < nSamples; k += Number(block)) {
    parts.push(await streamer.process(mixture.map((x) => x.subarray(k, k + Number(block)))));
  }
  parts.push(await streamer.flush());
  stems = streamer.stems.flatMap((stem) =>
    mixture.map((_, channel) => parts.flatMap((part) => Array.from(part[stem][channel]))),
  );
} else {
  stems = Object.values(await model.separate(mixture, model.sampleRate, { residual: true })).flat();
}
const seconds = (performance.now() - start) / 1000;
const cpuSeconds = (process.cpuUsage(cpu).user + process.cpuUsage(cpu).system) / 1e6;
await writeFile(outPath, Float32Array.from(stems.flatMap((stem) => Array.from(stem))));
const duration = nSamples / model.sampleRate;
console.log(
  `${(duration / seconds).toFixed(1)} times real time, ` +
    `${(duration / cpuSeconds).toFixed(1)} of processor time`,
);
