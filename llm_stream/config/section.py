"""What every section of the configuration is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class Section(BaseModel):
    """Base of all sections: frozen; a key that is not there is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
