"""How long a playbook's steps may take, and how long a wave with them is expected to."""

from support.step_playbooks import SECONDS, a_prompt, a_restart, a_step, beside
from support.wave_model import rolling_restart

from healthd.waves.policy import WavePolicy
from healthd.waves.step_durations import forecast_seconds, longest_seconds

POLICY = WavePolicy(soak_seconds=120, clean_seconds=60)


def test_a_mere_restart_takes_what_it_took() -> None:
    found = forecast_seconds(rolling_restart(), POLICY, restart_seconds=500, rounds=3)
    assert found == 500
    assert longest_seconds(rolling_restart(), POLICY) == 0


def test_steps_take_a_share_of_their_deadlines_and_what_comes_before_the_stop_a_clean_run() -> None:
    playbook = a_restart(between=(a_step("patch"),))
    found = forecast_seconds(playbook, POLICY, restart_seconds=500, rounds=3)
    assert found == 500 + 3 * SECONDS / 10
    playbook = a_restart(before=(a_step("upload"), a_prompt()))
    found = forecast_seconds(playbook, POLICY, restart_seconds=500, rounds=3)
    assert found == 500 + 3 * (SECONDS / 10 + 60)


def test_a_playbook_that_stops_nothing_takes_its_steps_and_its_soaks() -> None:
    found = forecast_seconds(beside(a_step("agent")), POLICY, restart_seconds=500, rounds=4)
    assert found == 60 + 4 * (SECONDS / 10 + 120)


def test_a_silence_lasts_for_every_try_of_what_keeps_a_node_away() -> None:
    playbook = a_restart(
        before=(a_step("upload"),),
        between=(a_step("patch", repeatable=True, tries=3),),
        after=(a_step("smoke"), a_prompt()),
    )
    assert longest_seconds(playbook, POLICY) == 4 * SECONDS
