"""Run by `bench.speech`: hears each file whose path it reads, as speech/ does, and prints the seconds that took."""

import os
import sys
import time

from faster_whisper import BatchedInferencePipeline, WhisperModel

from speech.sources import source

folder, cores = str(source("tiny.en").folder()), len(os.sched_getaffinity(0))
model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=cores, local_files_only=True)
pipeline = BatchedInferencePipeline(model)
for line in sys.stdin:
    began = time.monotonic()
    segments, _ = pipeline.transcribe(
        line.rstrip("\n"), batch_size=2, vad_filter=True, word_timestamps=True, max_new_tokens=216
    )
    for _ in segments:
        pass
    print(time.monotonic() - began, flush=True)
