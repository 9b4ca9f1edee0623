"""A spiking actor-critic that begins nearly silent, and what its dormant ratio tells it to do.

An agent finds the goal of a 5 x 5 grid of pixels; the only reward is the goal's. High thresholds keep most of its 64
neurons silent at first. Compared are a fixed share of random actions, the schedules of DrM (the more are dormant,
the more actions are random and the less an optimistic value counts), and these with weights that are mixed with fresh
ones (Xu et al. 2024, arXiv 2310.19668; there actions are continuous and noise is added to them).

    pip install 'spikesim[torch,rl]'
    python examples/dormant_agent.py --updates 600 --seeds 3      # some minutes; a short look by default
"""

from __future__ import annotations

import argparse

import gymnasium
import numpy as np
import torch

from spikesim import Input, sequential
from spikesim.analyse import dormant_ratio, exploitation_share, exploration_std, perturb_factor
from spikesim.engine import backend
from spikesim.layers import dense
from spikesim.lowering import lower
from spikesim.models.neurons import leaky, li
from spikesim.sparsify.cures import perturb

SIDE, STEPS, AGENTS, HORIZON, GAMMA = 5, 4, 16, 5, 0.95
MOVES = np.array([(0, 1), (1, 0), (0, -1), (-1, 0)])
AWAKE = 0.7
"""Dormant ratio below which the agent counts as awake. DrM's 0.2 never comes: 64 neurons are more than the task needs,
so half stay dormant in an agent that has learned it, and its actions would stay random for good (measured)."""
VARIANTS = ("fixed", "awaken", "awaken and perturb")


class Grid(gymnasium.Env[np.ndarray, int]):
    """Pixels of the agent and of the goal, which is in the same corner always; an episode has at most 16 moves."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (2 * SIDE * SIDE,), np.float32)
    action_space = gymnasium.spaces.Discrete(4)

    def reset(self, *, seed=None, options=None):  # type: ignore[no-untyped-def]
        """Begin anywhere but at the goal."""
        super().reset(seed=seed)
        self.place, self.moves = np.array(divmod(int(self.np_random.integers(SIDE * SIDE - 1)), SIDE)), 0
        return self._pixels(), {}

    def step(self, action):  # type: ignore[no-untyped-def]
        """Move; walls stop."""
        self.place = np.clip(self.place + MOVES[action], 0, SIDE - 1)
        self.moves += 1
        there = bool((self.place == SIDE - 1).all())
        return self._pixels(), float(there), there, self.moves >= 16, {}

    def _pixels(self) -> np.ndarray:
        image = np.zeros((2, SIDE, SIDE), np.float32)
        image[0, self.place[0], self.place[1]] = image[1, -1, -1] = 1.0
        return image.ravel()


class Agent:
    """64 spiking neurons; four preferences, a value, and an optimistic value are read from membranes."""

    def __init__(self, variant: str, seed: int) -> None:
        self.variant, self.random = variant, np.random.default_rng(seed)
        torch.manual_seed(seed)
        image = Input("pixels", 2 * SIDE * SIDE, graded=True)
        network = sequential(image, dense(64), leaky(beta=0.9, v_th=2.0), dense(6), li(beta=0.9), seed=seed)
        self.module = backend("torch").module(lower(network))
        self.read = f"{network.populations[-1].name}/v"
        self.hidden = network.populations[0].name
        self.weights = list(self.module.matrices().values())
        self.start = [w.detach().clone() for w in self.weights]
        self.optimiser = torch.optim.Adam(self.weights, lr=5e-3)
        self.counts, self.beta, self.awakened = [], 1.0, None

    def __call__(self, pixels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return probabilities of actions, value, optimistic value; count spikes."""
        given = torch.as_tensor(pixels).expand(STEPS, *pixels.shape)
        outputs = self.module(given, record=[self.read])
        self.counts.append(outputs[self.hidden].detach().sum(0).numpy())
        said = outputs[self.read].mean(0)
        noise = self.noise()
        return (1 - noise) * said[:, :4].softmax(1) + noise / 4, said[:, 4], said[:, 5]

    def noise(self) -> float:
        """Return the share of random actions."""
        if self.variant == "fixed":
            return 0.2
        falling = None if self.awakened is None else max(0.5 - 0.005 * self.awakened, 0.05)
        return exploration_std(self.beta, beta_hat=AWAKE, awakened=falling)

    def look(self) -> None:
        """Measure the dormant ratio of the last moves; once it is low enough the agent is awake."""
        counts = np.concatenate(self.counts)
        self.counts, self.beta = [], dormant_ratio([counts], r_min=1.0 / len(counts)).ratio
        if self.awakened is None and self.beta < AWAKE:
            self.awakened = 0
        elif self.awakened is not None:
            self.awakened += 1

    def mix(self) -> None:
        """Mix the weights with fresh ones, the more neurons are dormant."""
        with torch.no_grad():
            perturb(self.weights, self.start, perturb_factor(self.beta, a_min=0.8, a_max=1.0), self.random)
        self.optimiser.state.clear()


def learn(variant: str, seed: int, updates: int) -> tuple[float, float, float]:
    """Train an agent; return the dormant ratio at the beginning and in the end, and the share of goals reached."""
    agent, grids = Agent(variant, seed), [Grid() for _ in range(AGENTS)]
    seen = np.stack([grid.reset(seed=seed * AGENTS + k)[0] for k, grid in enumerate(grids)])
    first, goals = None, []
    for update in range(updates):
        steps = []
        for _ in range(HORIZON):
            chances, value, hope = agent(seen)
            action = torch.multinomial(chances.detach(), 1)[:, 0]
            moved = [grid.step(int(a)) for grid, a in zip(grids, action, strict=True)]
            reward, over = (torch.tensor([m[k] for m in moved], dtype=torch.float32) for k in (1, 2))
            ended = [m[2] or m[3] for m in moved]
            goals += [m[2] for m in moved if m[2] or m[3]]
            seen = np.stack([g.reset()[0] if e else m[0] for g, m, e in zip(grids, moved, ended, strict=True)])
            steps.append((chances, action, value, hope, reward, over, torch.tensor(ended).float()))
        with torch.no_grad():
            _, value, hope = agent(seen)
        agent.look()
        first = agent.beta if first is None else first
        _update(agent, steps, value, hope)
        if variant == "awaken and perturb" and update % 60 == 59 and update < updates * 0.8:
            agent.mix()
    return first or 0.0, agent.beta, float(np.mean(goals[-200:])) if goals else 0.0


def _update(agent: Agent, steps: list[tuple[torch.Tensor, ...]], value: torch.Tensor, hope: torch.Tensor) -> None:
    """Take one step of the actor-critic; where an episode was cut off its last value is 0, as at its goal."""
    share = exploitation_share(agent.beta, beta_hat=AWAKE) if agent.variant != "fixed" else 0.0
    after, loss = share * hope + (1 - share) * value, torch.zeros(())
    for chances, action, now, hoped, reward, _, ended in reversed(steps):
        after = reward + GAMMA * (1 - ended) * after
        better = (after - now).detach()
        chosen = chances.gather(1, action[:, None])[:, 0].log()
        entropy = -(chances * chances.log()).sum(1)
        error = after - hoped
        expectile = torch.where(error > 0, 0.9, 0.1) * error.square()
        loss = loss + (-better * chosen - 0.01 * entropy + 0.5 * (after - now).square() + 0.5 * expectile).mean()
    agent.optimiser.zero_grad()
    loss.backward()
    agent.optimiser.step()


def main() -> None:
    """Compare the variants."""
    parser = argparse.ArgumentParser(description="A spiking agent and its dormant neurons.")
    parser.add_argument("folder", nargs="?", help="not used: nothing is written")
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    for variant in VARIANTS:
        runs = np.array([learn(variant, seed, chosen.updates) for seed in range(chosen.seeds)])
        first, last, goals = runs.mean(0)
        print(f"{variant}: dormant {first:.0%} at first, {last:.0%} in the end; {goals:.0%} of episodes ended right")


if __name__ == "__main__":
    main()
