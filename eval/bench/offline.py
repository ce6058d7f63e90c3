"""Inspect without a network: its mock model counts tokens in a vocabulary that tiktoken would fetch first.

No other provider that the bench is run with counts so; hf, pixelreef and OpenAI-compatible servers say what they used.
"""

from inspect_ai.model._providers.mockllm import MockLLM  # there is no public name for it

_CHARACTERS_A_TOKEN = 4


async def _estimated(self, text: str) -> int:
    return max(1, len(text) // _CHARACTERS_A_TOKEN)


def let_the_mock_count() -> None:
    """Replaces the mock model's exact count, which needs the network, by an estimate."""
    MockLLM.count_text_tokens = _estimated
