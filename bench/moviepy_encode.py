"""`python moviepy_encode.py IN.mp4 OUT.mp3`, run by `bench.tutorial`: prints the seconds of the conversion, without those of the imports."""

import sys
import time

from moviepy.editor import VideoFileClip

source, target = sys.argv[1:]
began = time.monotonic()
VideoFileClip(source).audio.write_audiofile(target, logger=None)
print(time.monotonic() - began)
