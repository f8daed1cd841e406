"""Every scheme with every loss against direct loops by appendix A.2, in float64; numerical edge cases."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aloe.objectives import Objective, losses, masks

B, F, N, D = 2, 7, 3, 4
SCHEMES = {
    "one_object_per_frame": masks.one_object_per_frame,
    "uniform": functools.partial(masks.uniform, visible=0.6),
    "predict_objects": functools.partial(masks.predict_objects, buffer=2),
    "predict_scenes": functools.partial(masks.predict_scenes, buffer=2),
    "infill_objects": functools.partial(masks.infill_objects, buffer=1),
    "infill_scenes": functools.partial(masks.infill_scenes, buffer=1),
}


def arrays():
    predicted, latents = np.random.default_rng(0).normal(size=(2, B, F, N, D))
    return predicted.astype(np.float32), latents.astype(np.float32)


def squared(x, true, _):
    """Error and its gradient with respect to x."""
    return np.sum((x - true) ** 2), 2 * (x - true)


def contrast(x, true, others, *, cosine, temperature):
    """Error and its gradient with respect to x, with the true latent among the others."""

    def similarity(latent):
        if not cosine:
            return x @ latent, latent
        lengths = np.linalg.norm(x) * np.linalg.norm(latent)
        angle = x @ latent / lengths
        return angle, latent / lengths - angle * x / np.linalg.norm(x) ** 2

    chances, slopes = [], []
    for latent in others:
        value, slope = similarity(latent)
        chances.append(np.exp(value / temperature))
        slopes.append(slope / temperature)
    value, slope = similarity(true)
    mean_slope = sum(chance * each for chance, each in zip(chances, slopes, strict=True)) / sum(chances)
    return -np.log(np.exp(value / temperature) / sum(chances)), mean_slope - slope / temperature


def loop(predicted, latents, target, error, same_frame=False):
    """loss_B, and the gradient of its mean over videos, target by target."""
    predicted, latents = predicted.astype(np.float64), latents.astype(np.float64)
    loss_B, gradient = np.zeros(B), np.zeros_like(predicted)
    for b, f, n in np.ndindex(B, F, N):
        if target[b, f, n]:
            others = latents[b, f] if same_frame else latents[b].reshape(F * N, D)
            value, slope = error(predicted[b, f, n], latents[b, f, n], others)
            loss_B[b] += value
            gradient[b, f, n] = slope / B
    return loss_B, gradient


@functools.cache
def targets(scheme):
    _, target = jax.jit(jax.vmap(functools.partial(SCHEMES[scheme], frames=F, slots=N)))(
        jax.random.split(jax.random.key(1), B)
    )
    assert np.any(target, axis=(1, 2)).all()
    return np.asarray(target)


@functools.cache
def value_and_gradient(error):
    """loss_B, and the gradient of its mean over videos; one program for all schemes."""

    def mean(predicted, latents, target):
        loss_B = Objective(lambda key: None, error).loss(predicted, latents, target)
        return jnp.mean(loss_B), loss_B

    compiled = jax.jit(jax.grad(mean, has_aux=True))
    return lambda *args: compiled(*args)[::-1]


ERRORS = {"l2": (losses.squared_distance, functools.partial(loop, error=squared))} | {
    f"{'frame' if same_frame else 'sequence'}-{'cosine' if cosine else 'dot'}-{temperature}": (
        functools.partial(losses.contrastive, same_frame=same_frame, cosine=cosine, temperature=temperature),
        functools.partial(
            loop, error=functools.partial(contrast, cosine=cosine, temperature=temperature), same_frame=same_frame
        ),
    )
    for same_frame, cosine, temperature in itertools.product((False, True), (False, True), (1.0, 0.3))
}


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("loss", ERRORS)
def test_value_and_gradient_are_those_of_the_loop(scheme, loss):
    (predicted, latents), target = arrays(), targets(scheme)
    error, expected = ERRORS[loss]
    loss_B, gradient = value_and_gradient(error)(predicted, latents, target)
    expected_B, slopes = expected(predicted, latents, target)
    assert loss_B.dtype == jnp.float32
    np.testing.assert_allclose(loss_B, expected_B, rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(gradient, slopes, rtol=2e-5, atol=1e-6)
    assert not np.asarray(gradient)[~target].any()


@pytest.mark.parametrize("error", [losses.squared_distance, losses.contrastive])
def test_the_loss_is_float32_whatever_is_predicted(error):
    predicted, latents = (jnp.asarray(each, jnp.bfloat16) for each in arrays())
    found = error(predicted, latents)
    assert found.dtype == jnp.float32
    np.testing.assert_array_equal(found, error(predicted.astype(jnp.float32), latents.astype(jnp.float32)))


def test_a_low_temperature_and_long_vectors_do_not_overflow():
    """As exp() of the similarities would. The remaining error is the rounding of the similarities themselves."""
    predicted, latents = (1e2 * each for each in arrays())
    error = losses.contrastive(predicted, latents, temperature=0.01)
    pairs = np.einsum("bpd,bsd->bps", *(each.astype(np.float64).reshape(B, F * N, D) for each in (predicted, latents)))
    pairs /= 0.01
    expected = np.logaddexp.reduce(pairs, axis=2) - np.diagonal(pairs, axis1=1, axis2=2)
    assert pairs.max() > 1e6
    rounding = np.finfo(np.float32).eps * np.abs(pairs).max()
    np.testing.assert_allclose(error.reshape(B, F * N), expected, rtol=0, atol=2 * rounding)


@jax.jit
@functools.partial(jax.value_and_grad, argnums=(0, 1))
def summed_by_cosine(predicted, latents):
    return jnp.sum(losses.contrastive(predicted, latents, cosine=True))


@pytest.mark.parametrize("length", [0.0, 1e-30, 1e-12, 1e-9, 1e-4])
def test_cosine_takes_vectors_of_no_length(length):
    predicted, latents = arrays()
    predicted[0, 1, 2] *= length
    latents[0, 3, 1] *= length
    latents[1, 2] *= length  # a whole frame
    value, gradients = summed_by_cosine(predicted, latents)
    assert np.isfinite(value)
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert np.any(gradients[0][0, 1, 2]) == (length > 1e-10)


def test_of_a_vector_of_no_length_all_latents_are_equally_like():
    predicted, latents = arrays()
    predicted[0, 1, 2] = 0
    error = losses.contrastive(predicted, latents, cosine=True, temperature=0.1)
    np.testing.assert_allclose(error[0, 1, 2], np.log(F * N), rtol=1e-6)


def test_the_negatives_are_of_the_own_video_and_frame():
    predicted, latents = arrays()
    moved = latents.copy()
    moved[0, 2, 1] += 1
    for same_frame in (False, True):
        before, after = (losses.contrastive(predicted, each, same_frame=same_frame) for each in (latents, moved))
        changed = np.asarray(before != after)
        np.testing.assert_array_equal(changed[0].all(axis=1), np.arange(F) == 2 if same_frame else np.ones(F, bool))
        assert not changed[1].any()
        assert changed.sum() == (N if same_frame else F * N)
