"""An OpenAI-shaped speech server for those who send nothing outside: faster-whisper on the CPU."""
