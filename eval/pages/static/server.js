// Talking to the server: one line of words where something is wrong, lines of JSON where something is drawn.

const SILENT = "the server does not answer; is the command still running?";

async function ask(path, method, body, signal) {
  const options = { method, signal, headers: body === undefined ? {} : { "content-type": "application/json" } };
  if (body !== undefined) options.body = JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(SILENT);
  }
  if (!response.ok) throw new Error((await response.text()).slice(0, 300) || `the server says ${response.status}`);
  return response;
}

export const get = async (path) => (await ask(path, "GET")).json();
export const post = async (path, body, signal) => (await ask(path, "POST", body, signal)).json();
export const remove = (path) => ask(path, "DELETE");

// Yields what the server tells while it draws; throws what goes wrong, an AbortError after `signal`.
export async function* told(path, body, signal) {
  const response = await ask(path, "POST", body, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let last = null;
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch (error) {
      throw error.name === "AbortError" ? error : new Error(SILENT);
    }
    if (chunk.done) break;
    const lines = (rest + chunk.value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      last = JSON.parse(line);
      if (last.event === "error") throw new Error(last.words);
      yield last;
    }
  }
  if (last?.event !== "done") throw new Error("the server broke off");
}
