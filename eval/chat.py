"""What a language model is told beside the question: a skill, examples, drawings of its own with a criticism."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Chat:
    """skill: text behind the system prompt; examples: (question, drawing) turns before the question; replies: (drawing,
    criticism) turns after it, where the drawings are the model's own."""

    skill: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    replies: tuple[tuple[str, str], ...] = ()

    def around(self, messages: list[dict[str, str]]) -> list[dict[str, str]]:
        """`captions.messages` (system, user) with everything else in its place; an empty chat changes nothing."""
        system, question = messages
        if self.skill:
            system = system | {"content": f"{system['content']}\n{self.skill}"}
        before = [turn for asked, drawing in self.examples for turn in (_user(asked), _assistant(drawing))]
        after = [turn for drawing, criticism in self.replies for turn in (_assistant(drawing), _user(criticism))]
        return [system, *before, question, *after]


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}
