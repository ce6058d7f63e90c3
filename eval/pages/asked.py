"""What the play page may ask for, field by field. Anything else is refused before it gets near a model."""

from pydantic import Field, ValidationError

from data_prep.errors import InputError
from eval.best_of import MAX_CANDIDATES
from eval.order import MAX_CAPTION
from eval.pages.strict import Strict, in_words
from eval.postprocess.shader import Light

MAX_COUNT = 16
MAX_SEED = 2**53 - 1  # the largest whole number that a browser holds exactly


class Chances(Strict):
    """How pixels are drawn, and how many drawings."""

    seed: int = Field(ge=0, le=MAX_SEED)
    temperature: float = Field(1.0, ge=0, le=10)
    guidance: float = Field(0.0, ge=0, le=20)
    count: int = Field(1, ge=1, le=MAX_COUNT)


class AskedDrawings(Chances):
    """palette: a name, or two and more colours in hex; keep_rows: of the drawing `continued`, from the top."""

    prompt: str = Field(max_length=MAX_CAPTION)
    height: int
    width: int
    palette: str = Field(max_length=2000)
    best_of: int = Field(1, ge=1, le=MAX_CANDIDATES)
    continued: str | None = None
    keep_rows: int = 0


class AskedChildren(Chances):
    """parents: ids of two drawings."""

    parents: list[str] = Field(min_length=2, max_length=2)


class AskedLight(Strict):
    """Angles in degrees; rim: rim light and glow, as `pixelreef shade --rim` has them."""

    azimuth: float = Field(ge=-360, le=720)
    elevation: float = Field(ge=0, le=90)
    strength: float = Field(1.0, ge=0, le=2)
    rim: bool = False

    def light(self) -> Light:
        return Light(self.azimuth, self.elevation, self.strength, rim=float(self.rim), glow=float(self.rim))

    @classmethod
    def read(cls, text: str) -> "AskedLight":
        """From JSON, as an address holds it. Raises InputError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise InputError(f"light: {in_words(error.errors())}") from error


class AskedLighting(Strict):
    drawing: str
    light: AskedLight
