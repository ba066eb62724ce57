"""Ask about a picture from another program: python examples/jsonl_client.py photo.jpg "What is this?" """

import json
import subprocess
import sys

picture, *questions = sys.argv[1:]
pumice = subprocess.Popen(
    ["pumice", "chat", "--jsonl"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
)
for number, question in enumerate(questions):
    print(json.dumps({"id": number, "prompt": question, "images": [picture]}), file=pumice.stdin, flush=True)
pumice.stdin.close()  # nothing more to ask: it ends after the last answer
for line in pumice.stdout:
    event = json.loads(line)
    if event["type"] == "end":
        print(f"{questions[event['id']]} {event['text']}")
    elif event["type"] == "error":
        print(f"error: {event['error']['message']}", file=sys.stderr)
sys.exit(pumice.wait())
