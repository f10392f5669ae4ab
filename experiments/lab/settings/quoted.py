"""Settings of the systems that the paper quotes; what else they have is said in `models.quoted`."""

from dataclasses import dataclass

from experiments.lab.settings.sources import choice, cited


@dataclass(frozen=True)
class QuotedSettings:
    """Those of all ten systems, each named after its system."""

    lu_threshold: float = cited(
        0.21, "a re-implementation of Lu et al. 2013; their release has 0.10 and 0.24"
    )
    reddy_known: float = cited(0.90, "release of Reddy et al. 2011; 0.95 for LV in another one")
    reddy_rule: str = cited("either", "release of Reddy et al. 2011")  # "both": another one, for LV
    mppca_latent: int = choice(6)  # of 36 numbers; 36 is degenerate
    unmasking_regularization: float = cited(0.5, "a re-implementation of Ionescu et al. 2017")
    del_giorno_frame: str = cited("mean", "release of Del Giorno et al. 2016")
    hinami_detector: str = choice("nearest")  # Hinami et al. 2017 compare the three
    hinami_step_frames: int = choice(1)  # every so many frames go through the network
    javan_update: bool = choice(False)  # learn from test frames once they are scored
