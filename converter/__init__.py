"""Any media to audio: takes the sound out of a recording once, and makes an MP3 of it."""
