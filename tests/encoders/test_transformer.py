"""The transformer over the parts of a feature vector."""

import pytest
import torch

from intrinsic_clip.encoders import transformer
from intrinsic_clip.encoders.replication import replicate


def test_replicates_and_output_dims_equal_one_at_a_time() -> None:
    x = torch.randn(7, 20, generator=torch.Generator().manual_seed(0))
    together = replicate(lambda d: transformer(20, d), 20, (1, 2), (3, 5), (2, 2))(x)
    for place, d in enumerate((3, 5)):
        for r, seed in enumerate((1, 2)):
            torch.manual_seed(seed)
            torch.testing.assert_close(together[place, r, :, :d], transformer(20, d)(x), rtol=1e-4, atol=1e-5)


def test_the_place_of_a_feature_matters_and_rows_do_not_mix() -> None:
    torch.manual_seed(0)
    encoder, x = transformer(20, 4, token_size=8), torch.randn(3, 20)
    rolled = x.roll(8, 1)
    assert not torch.allclose(encoder(x), encoder(rolled), atol=1e-3)
    torch.testing.assert_close(encoder(x[1:]), encoder(x)[1:])
    x.requires_grad_()
    encoder(x).sum().backward()
    assert (x.grad != 0).all()  # also of the last token, which is half empty


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ValueError, match=r"encoder\.width=48: must be a multiple of 32"):
        transformer(20, 4, width=48)
