import pytest


@pytest.fixture(autouse=True)
def _own_answers(tmp_path, monkeypatch):
    """Answers are kept in the test's folder, and no key of the machine's is used."""
    monkeypatch.setenv("TEXTCLF_ANSWER_CACHE", str(tmp_path / "answers"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
