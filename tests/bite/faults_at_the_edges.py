"""Faults where the worker meets others: clouds, brokers, clients, disks."""

from typing import Final

from tests.bite.fault import Fault

ASKING: Final = (
    Fault(
        "the answer to a PUT is proof",
        "gateways/huawei_apig/storing.py",
        "                _check_is(answer, leaf)\n",
        "",
        "gateways/test_huawei_changes.py::test_an_answer_that_shows_another_leaf_is_no_proof",
    ),
    Fault(
        "a PUT whose answer was lost is repeated blindly",
        "gateways/huawei_apig/storing.py",
        "    found = await look()\n",
        "    found = None\n",
        "gateways/test_huawei_changes.py::test_after_a_lost_answer_reading_decides",
    ),
    Fault(
        "an answer about another certificate is believed",
        "gateways/huawei_apig/storing.py",
        "if answer.id != stored.certificate_id:",
        "if not answer.id:",
        "gateways/test_huawei_changes.py::test_an_answer_about_another_certificate_is_an_error",
    ),
    Fault(
        "what is bound is deleted",
        "gateways/huawei_apig/detaching.py",
        "        if rows and not await self._is_free(stored, rows, moved):\n            return False\n",
        "        if rows:\n            await self.client.detach(stored.certificate_id, list(map(_with_flag, rows)))\n",
        "gateways/test_huawei_changes.py::test_only_what_nothing_is_bound_to_is_retired",
    ),
    Fault(
        "one bad domain fails its whole chunk",
        "gateways/huawei_apig/attaching.py",
        "if len(chunk) == 1 or not (_may_be_of_one(error) or is_broken):",
        "if len(chunk) == 1 or not is_broken:",
        "gateways/test_huawei_changes.py::test_bad_domains_are_found_by_halving",
    ),
    Fault(
        "a bad domain in every chunk keeps all its neighbours unbound",
        "gateways/huawei_apig/attaching.py",
        " or list(self._halved(unclear.probe()))",
        "",
        "gateways/test_apig_halving.py::test_a_bad_domain_in_every_chunk_fails_alone",
    ),
    Fault(
        "a chunk that is bad as a whole keeps all others unbound",
        "gateways/huawei_apig/attaching.py",
        " or unclear.samples()",
        "",
        "gateways/test_apig_halving.py::test_good_domains_are_found_beside_a_chunk_that_is_bad_as_a_whole",
    ),
    Fault(
        "a sick gateway gets a storm of halves",
        "gateways/huawei_apig/attaching.py",
        "if not self.waiting or self._probes >= self._depth:",
        "if not self.waiting:",
        "gateways/test_apig_halving.py::test_where_every_attach_is_refused_one_chunk_alone_is_followed_and_some_single_ones",
    ),
    Fault(
        "only the first page is read",
        "gateways/huawei_apig/client.py",
        "rows = await all_pages(lambda offset: self.bound_page(certificate_id, offset))",
        "rows = (await self.bound_page(certificate_id, 0)).bound_domains or []",
        "gateways/test_huawei_observing.py::test_every_page_is_read",
    ),
    Fault(
        "trust in the 201 of a binding",
        "gateways/bycloud/binding.py",
        "while not _is_active_at(listener, bound):",
        "while bound is None:",
        "gateways/test_bycloud_waiting.py::test_a_binding_that_is_not_active_yet_is_looked_at_until_it_is",
    ),
    Fault(
        "a 409 is success",
        "gateways/bycloud/binding.py",
        "        if bound is None:\n            return False\n        await",
        "        if bound is None:\n            return True\n        await",
        "gateways/test_bycloud_seed_call.py::test_a_conflict_that_is_neither_is_a_busy_load_balancer_for_a_while_only",
    ),
    Fault(
        "two changes at once to a load balancer",
        "gateways/bycloud/__init__.py",
        "if listener.load_balancer is None:",
        "if listener.kind == 'listener':",
        "gateways/test_bycloud_waiting.py::test_a_load_balancer_gets_one_change_at_a_time_and_two_get_theirs_together",
    ),
    Fault(
        "a turn that comes together with the end of waiting is lost",
        "gateways/bycloud/load_balancers.py",
        "            if not turn.cancelled():",
        "            if turn is None:",
        "gateways/test_bycloud_load_balancers.py::test_whoever_gives_up_is_passed_over_and_nothing_is_kept_of_what_nobody_uses",
    ),
)

SENDING: Final = (
    Fault(
        "a change whose effect is unknown is repeated",
        "gateways/transport.py",
        "return (request.repeatable or is_known) and not isinstance(error, NotAskedError)",
        "return not isinstance(error, NotAskedError)",
        "gateways/test_transport_repeats.py::test_a_change_whose_effect_is_unknown_is_not_repeated",
    ),
    Fault(
        "a 5xx is taken for no effect",
        "gateways/transport.py",
        "return _in_doubt(self._dialect.failure(status, headers, lenient(content)))",
        "return self._dialect.failure(status, headers, lenient(content))",
        "gateways/test_transport_repeats.py::test_a_change_whose_effect_is_unknown_is_not_repeated",
    ),
    Fault(
        "no fence before a change",
        "gateways/exchange.py",
        "            await current_effort().fence()\n",
        "            pass\n",
        "gateways/test_connections.py::test_a_change_waits_for_its_fence_when_all_else_is_ready_and_a_read_does_not",
    ),
    Fault(
        "a refused call is sent again at once",
        "gateways/restraint.py",
        "        self.limits.hold(error.hold)\n",
        "",
        "gateways/test_transport_repeats.py::test_one_refusal_holds_every_call_for_as_long_as_it_says",
    ),
    Fault(
        "every refusal renews credentials",
        "gateways/transport.py",
        "            if self._renewals == known:\n",
        "            if known >= 0:\n",
        "gateways/test_transport_repeats.py::test_stale_credentials_are_renewed_once_for_everybody",
    ),
    Fault(
        "a gateway that is down is asked by everybody",
        "gateways/breaker.py",
        "        if refusal is not None:\n            raise refusal\n",
        "",
        "gateways/test_breaker.py::test_what_answers_nothing_for_a_while_is_left_alone",
    ),
    Fault(
        "what nothing needs any more is told to be down for ever",
        "gateways/breaker.py",
        " or _now() - self._probe_at > _TELLING:",
        ":",
        "gateways/test_breaker.py"
        "::test_what_nothing_has_needed_for_hours_is_not_told_to_be_down_and_is_still_asked_by_a_probe_alone",
    ),
    Fault(
        "one sick read is an outage",
        "gateways/breaker.py",
        " and not is_ones_own\n",
        "\n",
        "gateways/test_breaker.py::test_one_read_that_stays_sick_is_no_outage_and_two_are",
    ),
    Fault(
        "whoever has a turn sends into a hold",
        "gateways/transport.py",
        "                if self._limits.held_for:\n                    raise _HeldMeanwhileError\n",
        "",
        "gateways/test_transport_repeats.py::test_a_hold_that_comes_while_a_call_waits_for_credentials_is_kept",
    ),
)

PROVING: Final = (
    Fault(
        "only the first address is looked at",
        "verification/looking.py",
        "for address in addresses]",
        "for address in addresses[:1]]",
        "verification/test_looking.py::test_every_address_of_a_host_has_to_serve_the_new_leaf",
    ),
    Fault(
        "a leaf without its chain is proof",
        "verification/expected.py",
        'return None if list(sent) == list(self.intermediates) else "chain_incomplete"',
        "return None",
        "verification/test_looking.py::test_a_leaf_without_its_intermediate_is_incomplete",
    ),
    Fault(
        "any handshake is proof",
        "verification/expected.py",
        "if sha256(served[0]).hexdigest() != self.leaf.fingerprint_sha256:",
        "if len(served[0]) == 0:",
        "verification/test_looking.py::test_the_replaced_certificate_is_told_from_a_strangers",
    ),
    Fault(
        "nobody looks whether clients are asked for certificates",
        "verification/looking.py",
        "if wanted is not None and seen.asks_for_client != wanted:",
        "if wanted is not None and False:",
        "verification/test_looking.py::test_whether_clients_are_asked_for_certificates_is_seen",
    ),
    Fault(
        "a wave is held responsible for endpoints of others",
        "verification/places.py",
        "return served.is_whole and not _behind(",
        "return bool(served.bindings) and not _behind(",
        "verification/test_places.py::test_endpoints_of_no_binding_are_asked_at_the_end_alone",
    ),
)

HANDING_OVER: Final = (
    Fault(
        "ack before the copy is confirmed",
        "broker/rabbitmq.py",
        "        await self.broker.copy(routing_key, copy)\n        await self.ack()\n",
        "        await self.ack()\n        await self.broker.copy(routing_key, copy)\n",
        "broker/test_copies.py::test_what_is_moved_is_acked_only_once_its_copy_is_confirmed",
    ),
    Fault(
        "what went to another worker is copied",
        "broker/rabbitmq.py",
        "        self.session.check()\n        await self.session.fence()\n        await self.broker.copy(",
        "        await self.broker.copy(",
        "broker/test_copies.py::test_what_is_delivered_elsewhere_by_now_is_not_copied",
    ),
    Fault(
        "an attempt is believed from anybody",
        "broker/copies.py",
        "return incoming.headers if incoming.user_id == worker else {}",
        "return incoming.headers",
        "broker/test_copies.py::test_the_workers_headers_count_only_where_the_worker_itself_has_published",
    ),
    Fault(
        "a copy of nobody's message becomes the worker's own",
        "broker/copies.py",
        "user_id=(_text(ours[_PRODUCER]) or None) if _PRODUCER in ours else incoming.user_id,",
        "user_id=_text(ours.get(_PRODUCER)) or incoming.user_id,",
        "broker/test_copies.py::test_a_copy_of_what_nobody_vouched_for_is_nobodys",
    ),
    Fault(
        "a count of deliveries is believed from anybody",
        "broker/copies.py",
        "incoming.headers.get(_DELIVERIES) if incoming.redelivered else None",
        "incoming.headers.get(_DELIVERIES)",
        "broker/test_copies.py::test_a_first_delivery_has_no_count_whatever_its_header_says",
    ),
    Fault(
        "a copy without mandatory",
        "broker/publishing.py",
        "mandatory=True",
        "mandatory=False",
        "broker/test_rabbitmq.py::test_a_renewal_that_no_queue_takes_is_an_error_and_holds_up_no_other",
    ),
    Fault(
        "a fence never asks",
        "broker/consuming.py",
        "return time.clock_gettime(_CLOCK) - self._asked_at > self.lease",
        "return self.lease < 0",
        "broker/test_rabbitmq_loss.py::test_a_fence_is_the_first_to_notice_that_the_broker_does_not_answer_any_more",
    ),
    Fault(
        "the embedded broker settles after its consumer has stopped",
        "broker/sqlite_deliveries.py",
        "        self.in_hand.check()\n        await self.broker.write(",
        "        await self.broker.write(",
        "broker/test_contract.py::test_nothing_is_settled_after_the_consumer_has_stopped[sqlite]",
    ),
)

KEEPING: Final = (
    Fault(
        "the spool forgets before the confirm",
        "publishing.py",
        """    try:
        await broker.publish_renewal(signer.signed(waiting.message))
    except BrokerRefusedError""",
        """    spool.forget(waiting)
    try:
        await broker.publish_renewal(signer.signed(waiting.message))
    except BrokerRefusedError""",
        "publish/test_publishing.py::test_without_a_broker_it_waits_and_the_next_call_sends_it_first",
    ),
    Fault(
        "two hooks send at once",
        "spool.py",
        "            await _our_turn(lock, within)\n",
        "",
        "publish/test_spool.py::test_one_holds_it_at_a_time_and_a_second_waits_only_so_long",
    ),
    Fault(
        "a damaged message is sent",
        "spool.py",
        "if sha256(body).hexdigest() != digest:",
        "if not digest:",
        "publish/test_spool.py::test_a_damaged_file_is_put_aside_under_a_name_that_says_so",
    ),
    Fault(
        "the sweep passes over what drifted",
        "sweep.py",
        "    if plans:\n        return",
        "    if failures:\n        return",
        "worker/test_sweep.py::test_what_differs_is_found_by_reading_only",
    ),
    Fault(
        "every replica sweeps",
        "sweep.py",
        "if not await self.is_active():",
        "if not await self.is_active() and not name:",
        "worker/test_sweeping.py::test_standbys_leave_the_sweep_to_the_active_one",
    ),
    Fault(
        "the sweep fills the queue with what waits there",
        "sweep.py",
        "if known == fingerprint and clock - since < _LOST_AFTER:",
        "if known == finding and clock - since < _LOST_AFTER:",
        "worker/test_sweeping.py::test_what_waits_in_the_queue_is_not_put_there_again_until_it_has_ended",
    ),
)

AT_THE_EDGES: Final = (*ASKING, *SENDING, *PROVING, *HANDING_OVER, *KEEPING)
