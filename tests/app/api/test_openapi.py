"""Requests made up from the OpenAPI document: none may break the service, and every answer must be as documented."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

LIGHT = settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def document_of(client):
    """The document of an application that runs already."""

    async def running(scope, receive, send):
        if scope["type"] != "lifespan":
            await client.app(scope, receive, send)
            return
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    return schemathesis.openapi.from_asgi("/openapi.json", running)


def lighten(case):
    """Little work: what is asked for is not the point.  What is wrong on purpose stays wrong."""
    body = case.body
    if not isinstance(body, dict):
        return
    if isinstance(body.get("molecules"), list) and len(body["molecules"]) <= 8:
        del body["molecules"][2:]
        body["num_conformers"] = _less(body.get("num_conformers", 10), 20)
        _take_few_steps(body, 50)
    if isinstance(body.get("lengths"), list) and len(body["lengths"]) <= 4:
        body["lengths"] = [_in_range(length) for length in body["lengths"]]
        body["num_samples"] = _less(body.get("num_samples", 4), 6)
        _take_few_steps(body, 200)


def make_sense(body):
    """Fit what the document cannot tell of backbones: a length or a structure, only names that are known.

    Samples of an untrained network fail their checks; so that they are not drawn again, they are kept.
    """
    body["keep_failed"] = True
    if not body.get("start"):
        body["lengths"] = body.get("lengths") or [20]
        body.pop("fixed", None)
    for name in ("ids", "model"):
        body.pop(name, None)


def _take_few_steps(body, usual):
    if isinstance(body.get("sampler", {}), dict):
        steps = body.get("sampler", {}).get("steps", usual)
        body["sampler"] = {**body.get("sampler", {}), "steps": _less(2 if steps is None else steps, 1000)}


def _in_range(length):
    """What the model was trained on, for most lengths that could be."""
    return 12 + length % 29 if type(length) is int and 1 <= length <= 9_000 else length


def _less(value, most):
    return min(value, 2) if type(value) is int and 1 <= value <= most else value


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
def test_answers_are_as_documented(client, mode):
    tried = try_out(client, mode)
    assert ("/v1/conformers", 422) in tried
    if mode == GenerationMode.POSITIVE:
        assert {path for path, status in tried if status == 200} >= {"/v1/conformers", "/v1/limits", "/metrics"}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=str)
def test_answers_of_a_service_of_backbones_are_as_documented(chain_client, mode):
    tried = try_out(chain_client, mode, only="/v1/backbones")
    assert ("/v1/backbones", 422) in tried
    assert mode == GenerationMode.NEGATIVE or ("/v1/backbones", 200) in tried
    assert not {status for _, status in tried} & {404, 500, 503}


def try_out(client, mode, only=""):
    """Send what fits the document, or what does not; the path and the status of each answer."""
    tried = []
    for operation in (result.ok() for result in document_of(client).get_all_operations()):
        if mode == GenerationMode.NEGATIVE and not operation.body:
            continue  # nothing can be wrong
        if only not in operation.path:
            continue

        @LIGHT
        @given(case=operation.as_strategy(generation_mode=mode))
        def check(case):
            if mode == GenerationMode.POSITIVE and case.path == "/v1/backbones":
                make_sense(case.body)
            lighten(case)
            # some requests fit the schema and make no sense, such as one molecule twice
            response = case.call_and_validate(excluded_checks=[positive_data_acceptance])
            tried.append((case.path, response.status_code))

        check()
    return tried
