"""B05, B18, B31, B32 and B66 to B79: what other tests show already, by their names."""

from typing import Final

from tests.bad_inputs.table import Elsewhere

ROWS: Final = (
    Elsewhere(
        "B05",
        "20 MB over RabbitMQ",
        "`too_large`, stops no other",
        ("test_a_message_that_is_too_large_stops_no_other",),
    ),
    Elsewhere(
        "B16",
        "no `user_id` over RabbitMQ",
        "`unauthorized_producer`",
        ("test_nobody_else_may", "test_what_nobody_vouched_for_does_not_become_the_workers_own"),
    ),
    Elsewhere(
        "B31",
        "`reply_to`, `correlation_id`",
        "nobody is answered, and no copy says it",
        ("test_nobody_is_answered_who_asks_for_it",),
    ),
    Elsewhere(
        "B32",
        "forged `x-death` count of 999, `x-rotation-attempt`, `x-rotation-opened-at`, `x-delivery-count`",
        "a first attempt",
        (
            "test_when_a_renewal_was_opened_is_believed_of_the_worker_only",
            "test_headers_count_only_in_what_the_worker_itself_has_published",
            "test_a_count_of_deliveries_is_the_brokers_alone",
        ),
    ),
    Elsewhere(
        "B42",
        "Vault says 403 or 404",
        "`vault_forbidden`, `vault_not_found`, final",
        (
            "test_what_is_forbidden_to_a_new_token_too_is_forbidden_and_costs_no_login_each_time",
            "test_a_secret_that_is_not_there_or_was_deleted_is_no_reason_to_come_again",
        ),
    ),
    Elsewhere(
        "B42",
        "Vault is away, sealed, or answers 503",
        "`vault_unavailable`, tried again",
        ("test_what_passes_at_vault_is_worth_another_try", "test_a_vault_that_does_not_answer_is_given_up_in_time"),
    ),
    Elsewhere(
        "B42",
        "a path that leads elsewhere, a redirect, a strange host",
        "refused; nothing is sent there",
        (
            "test_a_path_that_leads_elsewhere_is_refused_without_a_call",
            "test_no_redirect_of_vault_is_followed",
            "test_a_vault_that_does_not_verify_hears_nothing",
        ),
    ),
    Elsewhere(
        "B49",
        "RSA keys of any size in a message",
        "refused without a slow load",
        ("test_no_crafted_key_is_loaded_slowly",),
    ),
    Elsewhere(
        "B66",
        "a redirect to somewhere else",
        "`unexpected_redirect`; the other one hears nothing",
        ("test_no_redirect_is_followed",),
    ),
    Elsewhere(
        "B67",
        "a body without end, an inflatable one, an endless drip",
        "`gateway_unavailable`, asked again; read up to a limit, never inflated",
        (
            "test_an_answer_that_is_none_leaves_the_effect_of_a_change_unknown",
            "test_an_answer_that_drips_without_end_is_given_up_and_asked_for_again",
        ),
    ),
    Elsewhere(
        "B68",
        "200 with HTML, nothing, cut or repeating JSON",
        "the effect is unknown: read first",
        (
            "test_an_answer_that_is_none_leaves_the_effect_of_a_change_unknown",
            "test_whatever_one_call_answers_the_rotation_ends_well",
        ),
    ),
    Elsewhere(
        "B69",
        "200 to a change that was not made",
        "never `succeeded`",
        (
            "test_a_lie_about_the_put_is_never_called_success",
            "test_an_accepted_replacement_without_effect_is_never_a_success",
        ),
    ),
    Elsewhere(
        "B70",
        "an error that quotes our key, escapes, 1 MB",
        "redacted, printable, at most 200 characters",
        (
            "test_what_an_error_says_is_shown_without_secrets_and_bounded",
            "test_what_is_shown_is_printable_short_and_without_the_secret",
        ),
    ),
    Elsewhere(
        "B71",
        "401 once; 401 for ever",
        "renewed once; `auth_failed`",
        (
            "test_stale_credentials_are_renewed_once_for_everybody",
            "test_credentials_that_are_refused_are_not_tried_for_ever",
        ),
    ),
    Elsewhere("B72", "403", "`forbidden`, final", ("test_each_documented_status_has_its_reason",)),
    Elsewhere(
        "B73",
        "404 for certificate, domain or listener",
        "`not_found`, final",
        ("test_each_documented_status_has_its_reason", "test_a_domain_that_does_not_exist_fails_alone"),
    ),
    Elsewhere(
        "B74",
        "409 although it is bound",
        "success where reading says so",
        ("test_a_conflict_is_success_where_the_binding_is_there_already",),
    ),
    Elsewhere(
        "B75",
        "429 with a `Retry-After` that is nonsense",
        "between nothing and an hour",
        ("test_no_garbage_makes_us_wait_for_ever", "test_the_wait_is_read_from_headers_and_text"),
    ),
    Elsewhere(
        "B76",
        "5xx or a reset after the change",
        "read, then tried again",
        ("test_after_a_lost_answer_reading_decides", "test_whatever_one_call_answers_the_rotation_ends_well"),
    ),
    Elsewhere(
        "B77",
        "an answer about another id",
        "`provider_mismatch`",
        ("test_an_answer_about_another_certificate_is_believed_in_nothing",),
    ),
    Elsewhere(
        "B78",
        "a client-verification flag that moved",
        "`client_verification_changed`, put right",
        ("test_a_flag_that_moves_is_told_and_put_right",),
    ),
    Elsewhere(
        "B79",
        "a gateway with a certificate of its own making, or of another host; TLS 1.1",
        "`gateway_untrusted`; it hears nothing",
        ("test_a_gateway_that_does_not_verify_hears_nothing", "test_nothing_older_than_tls_1_2_is_spoken"),
    ),
)
