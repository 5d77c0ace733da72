from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from app.client import AccessError, Client, NotFoundError, RequestError, ServiceError
from app.client.problems import retry_after_s, to_error


def test_refusals_are_errors_with_a_reason(served):
    with Client(served()) as client:
        with pytest.raises(RequestError, match="num_conformers") as caught:
            client.sample("CC", 10**6)
        assert (caught.value.status, caught.value.reason) == (422, "invalid_request")
        assert caught.value.errors[0]["field"] == "num_conformers"
        with pytest.raises(NotFoundError) as caught:
            client.job("nothing")
        assert caught.value.reason == "not_found"


@pytest.mark.parametrize(("status", "kind"), [(401, AccessError), (403, AccessError), (500, ServiceError)])
def test_answers_of_others_are_errors_too(status, kind):
    error = to_error(httpx.Response(status, text="<html>"))
    assert type(error) is kind
    assert (error.status, error.reason, str(error)) == (status, "http_error", f"HTTP status {status}: <html>")
    assert type(to_error(httpx.Response(status, json=["no document"]))) is kind


def test_time_to_come_back_is_a_number_or_a_date():
    def told(text):
        return retry_after_s(httpx.Response(503, headers={"Retry-After": text}))

    assert told("7") == 7.0
    assert 50 < told(format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)) <= 60
    assert told("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert told("soon") is None
    assert retry_after_s(httpx.Response(503)) is None
