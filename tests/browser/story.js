// What a page does with the API. It gets the server's address and a token in the fragment, and posts what came of it.
const { server, token, story } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const headers = { Authorization: `Bearer ${token}` };
const api = (path, given = {}) =>
  fetch(server + path, { ...given, headers: { ...headers, ...given.headers } }).catch((error) => {
    throw new TypeError(`${path}: ${error.message}`);
  });

// XMLHttpRequest, because only it tells how much of a body has gone out.
function put(path, blob) {
  const request = new XMLHttpRequest();
  const progress = [];
  request.upload.onprogress = (event) => progress.push(event.loaded);
  return new Promise((resolve, reject) => {
    request.onload = () => resolve({ job: JSON.parse(request.response), location: request.getResponseHeader("Location"), progress });
    request.onerror = () => reject(new Error("the upload failed"));
    request.open("PUT", server + path);
    request.setRequestHeader("Authorization", headers.Authorization);
    request.send(blob);
  });
}

async function events(job) {
  const answer = await api(`/v1/jobs/${job}/events`);
  let text = "";
  for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) text += piece;
  return text.split("\n").filter((line) => line.startsWith("data: ")).map((line) => JSON.parse(line.slice(6)));
}

async function ended(job) {
  for (;;) {
    const found = await (await api(`/v1/jobs/${job}?wait=30`)).json();
    if (["done", "failed", "cancelled"].includes(found.state)) return found;
  }
}

async function sha256(buffer) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", buffer));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function whole() {
  const recording = await (await fetch("/media/talk.mp4")).blob();
  const sent = await put("/v1/files/talk.mp4?transcribe=no&notify=", recording);
  const [told, done] = await Promise.all([events(sent.job.id), ended(sent.job.id)]);
  const mp3 = done.artifacts.find((found) => found.kind === "audio");
  const part = await api(mp3.href, { headers: { Range: "bytes=100-199" } });
  const form = new FormData();
  for (const [name, value] of [["transcribe", "no"], ["notify", ""], ["file", recording]]) form.append(name, value);
  const missing = await api(`/v1/jobs/${"0".repeat(32)}`);
  return {
    sent,
    told,
    done,
    part: { status: part.status, range: part.headers.get("Content-Range"), bytes: (await part.arrayBuffer()).byteLength },
    mp3: await sha256(await (await api(mp3.href)).arrayBuffer()),
    again: await (await api("/upload", { method: "POST", body: form })).json(),
    missing: await missing.json(),
  };
}

// The server is there, but the page may neither read what it says nor send anything with a token.
async function refused() {
  const failure = (promise) => promise.then(() => "none", (error) => error.name);
  return {
    reached: (await fetch(`${server}/healthz`, { mode: "no-cors" })).type,
    read: await failure(fetch(`${server}/healthz`)),
    asked: await failure(api("/v1/jobs")),
    sent: await failure(api("/v1/files/talk.mp4", { method: "PUT", body: "recording" })),
  };
}

const report = await { whole, refused }[story]().catch((error) => ({ error: `${error}\n${error.stack}` }));
await fetch("/report", { method: "POST", body: JSON.stringify(report) });
