// What a <track> makes of a WebVTT file, which comes in the fragment: all of its cues, and which of them show at given times.
const { vtt, times } = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const video = document.querySelector("video");
const post = (body) => fetch("/", { method: "POST", body: JSON.stringify(body) });

function loaded() {
  const track = document.createElement("track");
  Object.assign(track, { kind: "subtitles", default: true, src: URL.createObjectURL(new Blob([vtt], { type: "text/vtt" })) });
  return new Promise((resolve, reject) => {
    track.onload = () => resolve(track.track);
    track.onerror = () => reject(new Error("the track was not taken"));
    video.append(track);
    track.track.mode = "showing";
  });
}

function told(cue) {
  const shown = cue.getCueAsHTML();
  return { start: cue.startTime, end: cue.endTime, text: shown.textContent, voice: shown.querySelector("span")?.title ?? null };
}

async function at(time, track) {
  const there = new Promise((resolve) => video.addEventListener("seeked", resolve, { once: true }));
  video.currentTime = time;
  await there;
  await new Promise(requestAnimationFrame);
  return [...track.activeCues].map((cue) => cue.getCueAsHTML().textContent);
}

try {
  // All of it at hand, so that every time of it can be gone to.
  video.src = URL.createObjectURL(await (await fetch("../media/talk.mp4")).blob());
  await new Promise((resolve, reject) => Object.assign(video, { onloadeddata: resolve, onerror: () => reject(video.error.message) }));
  const track = await loaded();
  const shown = [];
  for (const time of times) shown.push(await at(time, track));
  await post({ cues: [...track.cues].map(told), shown });
} catch (error) {
  await post({ error: String(error) });
}
