// Uploads a file with tus-js-client as it is published. The one argument is JSON: what to upload, and where it stops.
// Prints one line of JSON: the upload's address, the job, and which methods were sent with what answers.
const fs = require("node:fs");
const { PassThrough } = require("node:stream");
const tus = require("tus-js-client");

const given = JSON.parse(process.argv[2]);
const seen = { url: null, job: null, requests: [] };

function end(failure) {
  console.log(JSON.stringify({ ...seen, url: upload.url, failure: failure && String(failure) }));
  process.exit(failure ? 1 : 0);
}

// The length is only left open for streams whose end is not known.
const file = fs.createReadStream(given.file);
const input = given.options.uploadLengthDeferred ? file.pipe(new PassThrough()) : file;

const upload = new tus.Upload(input, {
  endpoint: given.endpoint,
  headers: { Authorization: given.authorization },
  metadata: given.metadata,
  retryDelays: [0, 200, 1000, 3000, 5000, 5000],
  urlStorage: new tus.FileUrlStorage(given.storage),
  ...given.options,
  onAfterResponse(request, response) {
    seen.requests.push([request.getMethod(), response.getStatus()]);
    seen.job = response.getHeader("Spool-Job") || seen.job;
  },
  onChunkComplete(size, accepted) {
    if (given.abortAfter && accepted >= given.abortAfter && isKept()) {
      upload.abort(given.terminate).then(() => end(), end);
    } else if (given.pauseAfter && accepted >= given.pauseAfter) {
      given.pauseAfter = 0;
      upload.abort().then(() => upload.start(), end);
    }
  },
  onSuccess: () => end(),
  onError: end,
});

// Whether another process can find this upload: parts are written down together, once all of them have an address.
function isKept() {
  try {
    return Object.keys(JSON.parse(fs.readFileSync(given.storage))).length > 0;
  } catch {
    return false;
  }
}

async function begin() {
  const [previous] = given.resume ? await upload.findPreviousUploads() : [];
  if (given.resume && !previous) throw new Error("no previous upload was found");
  if (previous) upload.resumeFromPreviousUpload(previous);
  upload.start();
}

begin().catch(end);
