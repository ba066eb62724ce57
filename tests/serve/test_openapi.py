"""The OpenAPI document says what the servers do: schemathesis looks for a request that shows otherwise."""

from __future__ import annotations

from pathlib import Path

import schemathesis
from schemathesis.engine import events, from_schema

from pumice.serve.api.app import create_app
from pumice.serve.api.ledger import Ledger
from pumice.serve.guard.keys import Keys
from pumice.serve.guard.run import Drain, guarded
from serve.apis import Scripted
from serve.served import doorkeeping

EXAMPLES = 6  # of each operation and phase, beside the systematic ones
#: What no schema can say of a conversation: refused with 400, although it is of the right shape. Nothing else is.
MEANING = (
    "the question is empty",
    "the last message must be the user's",
    "the first message after the system's must be the user's",
    "top_logprobs needs logprobs",
    "stream_options needs stream",
    "max_tokens and max_completion_tokens differ",
    "cannot hold a picture",
    "expected either messages or prompt",
)


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    app = create_app(Scripted(), Ledger(), Drain())
    settings = {
        "seed": 1,
        "headers": {"x-api-key": Keys(tmp_path).create("tests")},
        "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    }
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=schemathesis.Config.from_dict(settings))
    schema.app = guarded(app, doorkeeping(tmp_path, allowed_hosts=("testserver",)))
    checks, found, answered = 0, [], set()
    for event in from_schema(schema).execute():
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if not isinstance(event, events.ScenarioFinished):
            continue
        for case, results in event.recorder.checks.items():
            answer = event.recorder.interactions[case].response
            answered.add(answer.status_code if answer is not None else 0)
            said = answer.text if answer is not None else ""
            checks += len(results)
            found += [
                (event.recorder.label, each.name, said[:300])
                for each in results
                if each.failure_info is not None
                and not (each.name == "positive_data_acceptance" and any(words in said for words in MEANING))
            ]
    assert found == []
    assert checks > 500 and {200, 400, 404, 405} <= answered, (checks, answered)
