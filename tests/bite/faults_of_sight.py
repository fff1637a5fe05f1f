"""Faults of what is shown of the fleet, and of who may see it."""

from typing import Final

from tests.bite.fault import Fault

OF_SIGHT: Final = (
    Fault(
        "an event that comes twice is counted twice",
        "fleet/model.py",
        "if told is None or told.key in self._known:",
        "if told is None:",
        "fleet/test_model.py::test_an_outcome_that_is_heard_of_twice_counts_once",
    ),
    Fault(
        "what is told while the history is read is taken for older than it",
        "fleet/model.py",
        "            self._meanwhile.append(event)\n",
        "            self.recall(event)\n",
        "fleet/test_model.py::test_what_is_told_while_the_history_is_read_comes_after_it",
    ),
    Fault(
        "who stands by takes the dead letters out of sight",
        "fleet/model.py",
        " or not self._state.is_active:",
        ":",
        "fleet/test_model.py::test_who_stands_by_never_takes_the_dead_letters_out_of_anybodys_sight",
    ),
    Fault(
        "what went back is shown as served",
        "fleet/told.py",
        "not went_back(facts) and ",
        "",
        "fleet/test_told.py::test_what_is_served_is_the_new_one_unless_it_went_back_or_never_came_there",
    ),
    Fault(
        "what is told is counted only once it is settled",
        "settlement.py",
        '        self._measure(identity, report, timing, event)\n        return str(event["time"])\n',
        '        return str(event["time"])\n',
        "worker/test_onlooker.py::test_what_was_told_is_counted_though_it_was_never_settled",
    ),
    Fault(
        "a page elsewhere reads by way of a browser what is served on loopback",
        "web/guarding.py",
        'return None if _is_own(request.headers.get("Host", "")) else',
        "return None if request.path else",
        "web/test_guarding.py::test_on_loopback_everybody_may_look_but_no_page_of_another_name_that_leads_there",
    ),
    Fault(
        "an empty token opens what an unreadable one guards",
        "web/guarding.py",
        "            return False\n        given =",
        '            token = ""\n        given =',
        "web/test_guarding.py::test_a_token_that_was_replaced_needs_no_restart_and_an_unreadable_one_opens_nothing",
    ),
    Fault(
        "a client certificate of anybody's is as good",
        "web/encrypting.py",
        "            context.verify_mode = ssl.CERT_OPTIONAL",
        "            context.verify_mode = ssl.CERT_NONE",
        "web/test_guarding.py::test_who_has_a_certificate_of_the_operators_needs_no_token",
    ),
    Fault(
        "strangers are told why a worker is not ready",
        "web/guarding.py",
        "return _without_details(await handler(request))",
        "return await handler(request)",
        "web/test_guarding.py::test_probes_need_no_token_and_tell_no_details_without_one",
    ),
    Fault(
        "a page may be anywhere with nothing that guards it",
        "settings/listening.py",
        "and not http.is_guarded and not http.only_probes",
        "and not http.is_guarded and http.only_probes",
        "settings/test_listening.py::test_elsewhere_than_on_loopback_something_must_guard_it",
    ),
    Fault(
        "whoever follows again begins anew",
        "broker/followed.py",
        "(after or 0, _TOGETHER)",
        "(0, _TOGETHER)",
        "broker/test_contract_following.py::test_whoever_follows_again_goes_on_where_it_was[sqlite]",
    ),
)
