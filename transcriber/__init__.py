"""Audio to transcript: asks an OpenAI-shaped speech service, and renders txt, srt, vtt and json from its own segments."""
