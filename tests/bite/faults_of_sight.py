"""Faults of what is shown of the fleet, and of who may see it."""

from typing import Final

from tests.bite.fault import Fault

OF_SIGHT: Final = (
    Fault(
        "an event that comes twice is counted twice",
        "fleet/model.py",
        "is_known = is_heard or key_of(event) in self._known",
        "is_known = is_heard",
        "fleet/test_model.py::test_an_outcome_that_is_heard_of_twice_counts_once",
    ),
    Fault(
        "what is told while the history is read is taken for older than it",
        "fleet/model.py",
        "            self._meanwhile.append((event, report))\n",
        "            self.recall(event)\n",
        "fleet/test_model.py::test_what_is_told_while_the_history_is_read_comes_after_it",
    ),
    Fault(
        "where something is told all the time the history never ends",
        "fleet/following.py",
        "if is_end or is_new:",
        "if is_end:",
        "fleet/test_following.py::test_the_history_ends_where_something_is_told_all_the_time",
    ),
    Fault(
        "who stands by takes the dead letters out of sight",
        "fleet/model.py",
        "if self._state.is_active and not",
        "if not",
        "fleet/test_model.py::test_who_stands_by_never_takes_the_dead_letters_out_of_anybodys_sight",
    ),
    Fault(
        "what went back is shown as served",
        "core/serving.py",
        "return ended.reason != ROLLED_BACK and",
        "return",
        "fleet/test_told.py::test_what_is_served_is_the_new_one_unless_it_went_back_or_never_came_there",
    ),
    Fault(
        "what nobody is served is shown as served",
        "core/serving.py",
        "if ended.reasons & _UNPROVEN or whole in _UNPROVEN:",
        "if not ended.reasons:",
        "fleet/test_told.py::test_the_page_and_the_metric_show_what_is_served_and_not_what_was_not_proven",
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
        "web/access.py",
        'return None if _is_own(request.headers.get("Host", "")) else',
        "return None if request.path else",
        "web/test_access.py::test_on_loopback_everybody_may_look_but_no_page_of_another_name_that_leads_there",
    ),
    Fault(
        "an empty token opens what an unreadable one guards",
        "web/access.py",
        "            return False\n        given =",
        '            token = ""\n        given =',
        "web/test_access.py::test_a_token_that_was_replaced_needs_no_restart_and_an_unreadable_one_opens_nothing",
    ),
    Fault(
        "a client certificate of anybody's is as good",
        "web/encrypting.py",
        "            context.verify_mode = ssl.CERT_OPTIONAL",
        "            context.verify_mode = ssl.CERT_NONE",
        "web/test_access.py::test_who_has_a_certificate_of_the_operators_needs_no_token",
    ),
    Fault(
        "strangers are told why a worker is not ready",
        "web/access.py",
        "return _without_details(await handler(request))",
        "return await handler(request)",
        "web/test_access.py::test_probes_need_no_token_and_tell_no_details_without_one",
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
    Fault(
        "what was rotated while the history was read is not known by its bindings",
        "fleet/model.py",
        "                self.told(event, report)\n",
        "                self.recall(event)\n",
        "fleet/test_model.py::test_every_binding_is_known_by_name_of_what_was_rotated_while_the_history_was_read",
    ),
    Fault(
        "a certificate that a reload brings never learns what was told of it",
        "fleet/following.py",
        "if self.model.begin_again():",
        "if self.model is None:",
        "fleet/test_following.py"
        "::test_a_certificate_that_comes_into_the_settings_learns_what_was_told_of_it_and_nothing_else_counts_twice",
    ),
    Fault(
        "what is read again counts again",
        "fleet/following.py",
        "is_heard = _number(batch.position) <= self.heard_to",
        "is_heard = False",
        "fleet/test_following.py::test_what_is_read_again_counts_once_though_it_was_told_long_ago",
    ),
    Fault(
        "the broker is asked by everybody who asks",
        "fleet/model.py",
        "if clock() < self._state_at + _BELIEVED:",
        "if clock() < self._state_at:",
        "fleet/test_model.py::test_the_broker_is_asked_once_a_second_however_many_ask",
    ),
    Fault(
        "a scrape finds no budgets while another one counts them",
        "web/server.py",
        "        for window, one in budgets.items():\n",
        "        self.metrics.budget.clear()\n        for window, one in budgets.items():\n",
        "worker/test_health.py"
        "::test_a_window_of_a_gateways_budget_is_told_as_long_as_it_is_there_and_never_left_out_in_between",
    ),
    Fault(
        "a clock that is wrong makes a renewal wait for years",
        "core/outcome.py",
        ", 0.0), _LONGEST)",
        ", 0.0), 1e12)",
        "core/test_outcome.py::test_metrics_and_page_agree_on_when_a_renewal_was_served",
    ),
)
