from app.engine.refusal import shutting_down


def test_service_that_ends_says_when_to_come_back():
    refusal = shutting_down()
    assert (refusal.reason, refusal.retry_after_s) == ("unavailable", 5)
    assert "shutting down" in str(refusal)
