/** What a model file says about itself. */

/** An error whose message is for the user: "subject: what is, what should be; what to do". */
export class UnmaskError extends Error {
  name = "UnmaskError";
}

const FORMAT = 2;
// Fields of ModelProto and StringStringEntryProto in onnx.proto.
const METADATA_PROPS = 14;
const [KEY, VALUE] = [1, 2];
const NOT_ONNX = "model: is not an ONNX file; make one of a training run with `unmask export`";

/**
 * Yield the fields of a protocol buffer message that are bytes, as [number, bytes].
 * onnxruntime-web has no call for a model's own metadata, so they are read from the file.
 */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    for (let value = 0, scale = 1; at < bytes.length; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
    throw new UnmaskError(NOT_ONNX);
  };
  const fixed = { 1: 8, 5: 4 };
  while (at < bytes.length) {
    const tag = varint();
    const [number, kind] = [Math.floor(tag / 8), tag % 8];
    if (kind === 0) {
      varint();
      continue;
    }
    const size = kind === 2 ? varint() : fixed[kind];
    if (!(at + size <= bytes.length)) throw new UnmaskError(NOT_ONNX);
    if (kind === 2) yield [number, bytes.subarray(at, at + size)];
    at += size;
  }
}

/**
 * Return the metadata of a model, checked as far as this front-end uses them.
 *
 * @param {Uint8Array} bytes the .onnx file
 */
export function readMetadata(bytes) {
  const text = new TextDecoder();
  for (const [number, entry] of fields(bytes)) {
    if (number !== METADATA_PROPS) continue;
    const found = new Map(fields(entry));
    if (text.decode(found.get(KEY)) === "unmask") return check(text.decode(found.get(VALUE)));
  }
  throw new UnmaskError("model: is an ONNX file without the metadata 'unmask'; export it again");
}

function check(json) {
  let metadata;
  try {
    metadata = JSON.parse(json);
  } catch (error) {
    throw new UnmaskError(`model: metadata is no JSON: ${error.message}; export it again`);
  }
  if (metadata?.format !== FORMAT) {
    throw new UnmaskError(
      `model: has format ${metadata?.format}, this version reads ${FORMAT}; ` +
        (metadata?.format > FORMAT ? "update it" : "export it again"),
    );
  }
  const defaults = {
    context_frames: 0,
    unit_frames: 1,
    channels: 1,
    level: null,
    slow_terms: 0,
    slow_stem: null,
  };
  metadata = { ...defaults, ...metadata };
  const fields = ["sample_rate", "frontend", "mask", "stems", "lookahead_frames", "state"];
  const missing = fields.filter((field) => metadata[field] === undefined);
  if (missing.length) {
    throw new UnmaskError(`model: metadata has no ${missing.join(", ")}; export it again`);
  }
  const waits = metadata.context_frames || metadata.lookahead_frames || metadata.state.length;
  if (metadata.unit_frames > 1 && !waits) {
    throw new UnmaskError(
      "model: hears segments by themselves, which are not joined here; take unmask separate",
    );
  }
  return metadata;
}
