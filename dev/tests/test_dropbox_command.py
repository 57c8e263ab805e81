"""The stand-in of Dropbox at a terminal, and a process of its own that is pointed to it."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
APP = """
import sys
from contextlib import closing
from urllib.parse import parse_qsl, urlsplit
import dropbox

back = "https://spool.example/back"
flow = dropbox.DropboxOAuth2Flow(sys.argv[1], back, {}, "csrf", use_pkce=True, token_access_type="offline")
with closing(flow.requests_session) as browser:
    where = browser.get(flow.start(), allow_redirects=False, timeout=30).headers["Location"]
    token = flow.finish(dict(parse_qsl(urlsplit(where).query))).refresh_token
with dropbox.Dropbox(oauth2_refresh_token=token, app_key=sys.argv[1], timeout=30) as client:
    for entry in client.files_list_folder("", recursive=True).entries:
        print(entry.path_display)
"""


def test_the_command_tells_how_to_point_a_process_to_it_and_ends_on_request() -> None:
    command = [sys.executable, "-m", "dev", "dropbox", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as process:
        assert process.stdout
        lines = iter(process.stdout.readline, "Ctrl-C stops it.\n")
        told = dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
        url = f"https://{told['DROPBOX_API_HOST']}/admin"
        tls = ssl.create_default_context(cafile=told["REQUESTS_CA_BUNDLE"])
        with httpx.Client(verify=tls, timeout=30) as curl:
            assert curl.put(f"{url}/files/My%20recordings/talk.mp4", content=b"talk").json()["size"] == 4
            assert curl.get(f"{url}/files").json() == ["/My recordings/talk.mp4"]
            assert curl.get(f"{url}/files/My%20recordings/talk.mp4").content == b"talk"
            assert curl.post(f"{url}/faults", content=json.dumps(["expired"])).json() == {"faults": 1}
            app = [sys.executable, "-c", APP, told["SPOOL_DROPBOX_APP_KEY"]]
            listed = subprocess.run(app, env=os.environ | told, capture_output=True, text=True, timeout=60, check=True)
            assert listed.stdout.splitlines() == ["/My recordings", "/My recordings/talk.mp4"]
            calls = curl.get(f"{url}/calls").json()["calls"]
            assert calls == {"oauth2/authorize": 1, "oauth2/token": 3, "files/list_folder": 2}
            assert curl.delete(f"{url}/files/My%20recordings/talk.mp4").status_code == 200
            assert curl.delete(f"{url}/files/My%20recordings/talk.mp4").status_code == 404
            assert curl.post(f"{url}/faults", content=json.dumps(["none"])).status_code == 400
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not Path(told["REQUESTS_CA_BUNDLE"]).exists()
