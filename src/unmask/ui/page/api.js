// What the page asks of the program behind it, and what it answers in its own words.

/** A refusal, in one line. */
export class Refused extends Error {}

const GONE = "The program has ended; start `unmask ui` again and open the address that it prints.";

async function asked(path, options = {}) {
  let response;
  try {
    response = await fetch(path, { credentials: "omit", ...options });
  } catch {
    throw new Refused(GONE);
  }
  if (response.ok) return response;
  throw new Refused(wordsOf(await response.text(), response.status));
}

function wordsOf(text, status) {
  try {
    return JSON.parse(text).error;
  } catch {
    return `the program answers ${status}`;
  }
}

export const get = async (path) => (await asked(path)).json();
export const post = async (path, said = {}) => (await asked(path, {
  method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(said),
})).json();

/** Float samples of a stretch, one channel beside another. */
export async function samples(path) {
  const response = await asked(path);
  try {
    return new Float32Array(await response.arrayBuffer());
  } catch {
    throw new Refused("the samples could not be read to their end; remove the result and separate again");
  }
}

/** Hand a file over, by way of the disk; `told` is called with the share that is there. */
export function give(file, told) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.open("POST", `api/recordings?name=${encodeURIComponent(file.name)}`);
    request.upload.onprogress = ({ loaded, total }) => told(loaded / total);
    request.onload = () => (request.status < 300 ? resolve(JSON.parse(request.responseText))
      : reject(new Refused(wordsOf(request.responseText, request.status))));
    request.onerror = () => reject(new Refused("the file could not be handed over: it was changed or taken away, or the program has ended"));
    request.onabort = () => reject(new Refused("stopped"));
    request.send(file);
  });
  return { done, stop: () => request.abort() };
}
