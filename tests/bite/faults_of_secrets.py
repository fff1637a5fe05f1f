"""Faults of the worker's own secrets: who may read their files, and where they are sent."""

from typing import Final

from tests.bite.fault import Fault

_FILES: Final = "settings/test_named_files.py::"
_CREDENTIALS: Final = (
    "settings/test_credentials.py::test_what_is_open_to_everybody_is_not_read_though_it_was_not_so_at_the_start"
)
_COLLECTOR: Final = "tracing/test_sending.py::"

OF_SECRETS: Final = (
    Fault(
        "a key may be read by everybody where it stands beside its certificate",
        "settings/loading.py",
        '        ("broker.cert_file", settings.broker.cert_file if settings.broker.key_file is None else None),\n',
        "",
        f"{_FILES}test_a_certificate_in_whose_file_its_key_stands_is_a_secret_and_one_with_a_key_file_is_none",
    ),
    Fault(
        "the broker's password is read from a file that has come to be everybody's",
        "settings/resolve.py",
        "_LONGEST_URL, problem_of_secret)",
        "_LONGEST_URL, problem_of_kind)",
        f"{_CREDENTIALS}[url-388]",
    ),
    Fault(
        "a client's key is read from a file that has come to be everybody's",
        "tls.py",
        "check(identity.key_file, problem_of_secret)",
        "check(identity.key_file)",
        f"{_CREDENTIALS}[client_key-388]",
    ),
    Fault(
        "the listener's key is read from a file that has come to be everybody's",
        "web/encrypting.py",
        "check(http.key_file, problem_of_secret)",
        "check(http.key_file)",
        f"{_CREDENTIALS}[listeners_key-388]",
    ),
    Fault(
        "a listener's key that is no more everybody's is not read again",
        "web/encrypting.py",
        ", one.st_size, one.st_ctime_ns)",
        ", one.st_size)",
        "web/test_access.py::test_a_renewed_key_is_taken_once_not_everybody_can_read_it_any_more",
    ),
    Fault(
        "a listener's key that has come to be the worker's is not read again",
        "web/encrypting.py",
        "one.st_ctime_ns)",
        "one.st_mode)",
        "web/test_access.py::test_a_key_is_read_again_when_it_is_somebody_elses_now",
    ),
    Fault(
        "a key for the collector that has come to be the worker's is not read again",
        "collector.py",
        "status.st_ctime_ns",
        "status.st_mode",
        f"{_COLLECTOR}test_who_we_are_is_read_again_when_the_key_is_somebody_elses_now",
    ),
    Fault(
        "spans and the collector's key go to a proxy that the environment names",
        "tracing/sending.py",
        "    session.trust_env = False\n",
        "",
        "tracing/test_sending.py::test_no_span_goes_to_a_proxy_that_the_environment_names",
    ),
    Fault(
        "the keys of connections to the collector are written where the environment says",
        "tracing/sending.py",
        '    session.mount(f"{_TLS}://", _Verified(contexts))\n',
        "",
        f"{_COLLECTOR}test_the_collector_is_verified_and_the_environment_has_no_keys_of_its_connections_written_down",
    ),
    Fault(
        "a collector's answer is read whole and inflated",
        "tracing/sending.py",
        "class _Bounded(HTTPAdapter):",
        "class _Bounded(HTTPAdapter):\n    send = HTTPAdapter.send\n\n\nclass _Unused(HTTPAdapter):",
        f"{_COLLECTOR}test_of_a_collectors_answer_only_the_beginning_is_read_and_nothing_is_inflated",
    ),
    Fault(
        "the collector's key is sent in the open",
        "settings/tracing.py",
        "    problems += _in_the_open(environ)\n",
        "",
        "tracing/test_process.py::test_a_key_is_sent_to_no_collector_in_the_open",
    ),
    Fault(
        "whom the library would trust is trusted besides",
        "tracing/sending.py",
        "    def cert_verify(",
        "    def cert_verified(",
        f"{_COLLECTOR}test_the_collector_is_verified_and_the_environment_has_no_keys_of_its_connections_written_down",
    ),
    Fault(
        "who we are to the collector counts until the next start",
        "collector.py",
        "        if seen != self._seen:",
        "        if self._context is None and seen != self._seen:",
        f"{_COLLECTOR}test_who_we_are_is_shown_to_the_collector_by_files_that_are_read_again_when_they_change",
    ),
    Fault(
        "a rotation waits for the collector, and its key with it",
        "forecast.py",
        "        work.is_stored = partial(bool, work.is_stored())\n",
        "",
        "rotation/test_let_go.py::test_after_a_success",
    ),
    Fault(
        "an answer that came too late is the next call's",
        "gateways/exchange.py",
        "            response.close()  # and its connection: who knows what is still to come, or to be sent, over it\n",
        "            pass\n",
        "gateways/test_connections.py::test_what_answers_a_call_that_nobody_waits_for_answers_no_other",
    ),
    Fault(
        "a connection is left where a change is kept back",
        "gateways/exchange.py",
        "        connection.close()\n",
        "",
        "gateways/test_connections.py::test_a_change_that_its_fence_keeps_back_leaves_no_connection",
    ),
    Fault(
        "what is raised for all is held by one of its frames, and holds it",
        "gateways/together.py",
        "        del tasks, errors, cancelled\n",
        "        pass\n",
        "rotation/test_let_go.py::test_after_a_cancellation",
    ),
    Fault(
        "what is new is passed over by the collector, too",
        "cycles.py",
        'if phase == "stop" and passage["generation"] == len(_PASSAGES) - 1:',
        'if phase == "stop" and passage["generation"] < len(_PASSAGES):',
        "worker/test_cycles.py::test_what_has_survived_a_whole_passage_is_passed_over_and_what_is_new_is_not",
    ),
    Fault(
        "what is forgotten of an error goes on in its traceback",
        "core/errors.py",
        "                error.__context__.__traceback__ = None\n",
        "                pass\n",
        "gateways/test_connections.py::"
        "test_what_was_sent_is_gone_once_its_answer_breaks_off_and_does_not_wait_for_the_collector",
    ),
)
