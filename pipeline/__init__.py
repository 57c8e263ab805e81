"""What the services share: catalog, jobs, tasks, flow, messages, worker loop, blobs, queues, ffmpeg, settings, telemetry."""
