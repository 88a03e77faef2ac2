"""Each status and code of the served document has a situation that causes it, and a test of that."""

from __future__ import annotations

from importlib import import_module

import pytest

from tests.api.camara_schemas import codes_of, dereferenced
from tests.api.conftest import Platform

SITUATIONS = {
    (400, "INVALID_ARGUMENT"): "test_errors.test_an_invalid_body_is_400_and_the_message_names_the_property",
    (400, "OUT_OF_RANGE"): "test_errors.test_a_text_longer_than_its_property_may_be_is_out_of_range",
    (401, "UNAUTHENTICATED"): "test_tokens.test_no_token_is_401",
    (403, "PERMISSION_DENIED"): "test_tokens.test_each_operation_needs_its_own_scope_and_no_other",
    (403, "INVALID_TOKEN_CONTEXT"): "test_tokens.test_a_three_legged_token_opens_calls_of_its_number_alone",
    (404, "NOT_FOUND"): "test_errors.test_an_unknown_call_id_is_404",
    (404, "IDENTIFIER_NOT_FOUND"): "test_identifiers.test_a_person_whom_the_enterprise_does_not_know",
    (406, "NOT_ACCEPTABLE"): "test_recordings.test_an_accept_that_nothing_meets",
    (409, "ALREADY_EXISTS"): "test_calls.test_an_active_duplicate_is_refused_until_the_first_call_ends",
    (415, "UNSUPPORTED_MEDIA_TYPE"): "test_errors.test_another_content_type_is_415",
    (416, "OUT_OF_RANGE"): "test_recordings.test_a_range_beyond_the_end",
    (422, "SERVICE_NOT_APPLICABLE"): "test_identifiers.test_the_number_that_both_are_shown_is_not_called",
    (422, "MISSING_IDENTIFIER"): "test_identifiers.test_a_call_may_need_a_token_that_names_a_person",
    (422, "UNSUPPORTED_IDENTIFIER"): "test_identifiers.test_an_identifier_that_is_no_telephone_number",
    (422, "INVALID_PHONE_NUMBER"): "test_errors.test_a_number_off_the_pattern_is_422",
    (422, "SAME_CALLER_CALLEE"): "test_errors.test_policy_is_422",
    (422, "RECORDING_NOT_SUPPORTED"): "test_errors.test_policy_is_422",
    (422, "CALLER_NOT_AVAILABLE"): "test_errors.test_policy_is_422",
    (422, "CALLEE_NOT_AVAILABLE"): "test_errors.test_policy_is_422",
    (422, "IDEMPOTENCY_KEY_REUSED"): "test_idempotency.test_another_content_under_the_same_key_is_refused",
    (429, "TOO_MANY_REQUESTS"): "test_limits.test_no_more_live_calls_than_allowed_however_they_come",
    (429, "QUOTA_EXCEEDED"): "test_pool.test_without_minutes_there_is_no_call_and_with_them_there_is",
    (503, "UNAVAILABLE"): "test_operations.test_without_an_engine_there_is_no_call",
}

NEVER = {
    # "An explicit identifier is provided when one is already identified from the access token": but the same
    # document requires `caller`, also with a three-legged token. If it differs: INVALID_TOKEN_CONTEXT.
    (422, "UNNECESSARY_IDENTIFIER"),
}


def test_each_status_and_code_of_the_document_has_a_situation(platform: Platform) -> None:
    document = platform.http.get("/openapi.json").json()
    assert codes_of(dereferenced(document)) == SITUATIONS.keys() | NEVER


@pytest.mark.parametrize("situation", sorted(set(SITUATIONS.values())))
def test_each_situation_has_a_test(situation: str) -> None:
    module, _, function = situation.partition(".")
    assert callable(getattr(import_module(f"tests.api.{module}"), function))
