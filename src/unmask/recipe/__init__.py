"""A trained system as a composition in TOML: front-end, backbone, head, loss, data, train.

::

    extends = "other.toml"                 what this recipe is a variant of
    [frontend] kind = "stft", n_fft, hop, window
    [backbone] kind = "crn" and the settings of that network
    [head]     mask = "complex_tanh" or { family = "complex_tanh", options = { limit = 2.0 } }
    [loss]     kind = "si_sdr + 0.5*complex"
    [data]     kind = "speech_in_noise" and how examples are made
    [train]    steps, batch, learning rate, seed
"""

import unmask._training  # noqa: F401
from unmask.recipe.composition import Recipe
from unmask.recipe.reading import from_dict, load
from unmask.recipe.sections import Backbone, Frontend, Head, Loss, Train

__all__ = ["Backbone", "Frontend", "Head", "Loss", "Recipe", "Train", "from_dict", "load"]
