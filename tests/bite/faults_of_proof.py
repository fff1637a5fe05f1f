"""Deliberate faults in what is proven, what goes back for it, and what comes again."""

from typing import Final

from tests.bite.fault import Fault

OF_PROOF: Final = (
    Fault(
        "a name is split over two waves",
        "core/moving.py",
        "names[end] == names[end - 1]:",
        "names[end] == names[end - 1] == 0:",
        "rotation/test_blue_green.py::test_names_on_two_instances_are_moved_and_proven_together",
    ),
    Fault(
        "an endpoint under a wildcard that stayed is nobody's",
        "verification/places.py",
        "return not is_exact and bool(wildcards) and not uncovered([name], wildcards)",
        "return False",
        "verification/test_waves.py::"
        "test_an_endpoint_below_a_wildcard_that_could_not_be_attached_is_not_taken_for_nobodys",
    ),
    Fault(
        "a worker without descriptors blames the endpoint",
        "verification/handshake.py",
        "        if is_exhaustion(error):\n            raise\n",
        "",
        "verification/test_looking.py::test_what_the_worker_has_no_descriptors_for_says_nothing_of_the_cloud[127.0.0.1]",
    ),
    Fault(
        "a worker without a network takes everything back",
        "proving.py",
        "    return any(one.is_blind for one in shortfalls)\n",
        "    return False\n",
        "rotation/test_blue_green.py::"
        "test_where_nothing_can_be_seen_nothing_goes_back_and_nothing_more_moves_until_it_can",
    ),
    Fault(
        "the sweep brings again what was rolled back",
        "sweep.py",
        "if was_rolled_back(placed, leaf):",
        "if was_rolled_back((), leaf):",
        "worker/test_sweep.py::test_what_was_rolled_back_is_not_brought_again_unasked",
    ),
)
