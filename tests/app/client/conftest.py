"""A way from clients to an application in this process, on which calls and answers can get lost."""

import httpx
import pytest


class Way:
    """Transport of a client.

    Args:
        app: That answers.
        lost: Numbers of the calls, from 1, that are carried out and whose answers are lost.
        answers: What is answered first, in place of the application.
    """

    def __init__(self, app, lost=(), answers=()):
        self.app, self.lost, self.answers, self.seen = app, set(lost), list(answers), []

    def __call__(self, request):
        self.seen.append(request)
        if self.answers:
            return self.answers.pop(0)
        headers = [(name, value) for name, value in request.headers.items() if name != "content-length"]
        url = request.url.raw_path.decode()
        answer = self.app.request(request.method, url, content=request.read(), headers=headers)
        if len(self.seen) in self.lost:
            raise httpx.ReadError("lost")
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def way():
    return Way


@pytest.fixture(autouse=True)
def pauses(monkeypatch):
    """No time is lost; the pauses that were asked for."""
    told = []
    monkeypatch.setattr("app.client.client.time.sleep", told.append)
    monkeypatch.setattr("app.client.exchange.random.uniform", lambda low, high: low)
    return told
