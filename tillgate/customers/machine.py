"""Test cards: the documented numbers and tokens, and what may be shown of each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: token: brand, last four digits, funding, country. Also under `tok_…` without `pm_card_`.
TEST_CARDS: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "pm_card_visa": ("visa", "4242", "credit", "US"),
    "pm_card_visa_debit": ("visa", "5556", "debit", "US"),
    "pm_card_mastercard": ("mastercard", "4444", "credit", "US"),
    "pm_card_mastercard_debit": ("mastercard", "8210", "debit", "US"),
    "pm_card_mastercard_prepaid": ("mastercard", "5100", "prepaid", "US"),
    "pm_card_amex": ("amex", "0005", "credit", "US"),
    "pm_card_discover": ("discover", "1117", "credit", "US"),
    "pm_card_diners": ("diners", "0004", "credit", "US"),
    "pm_card_jcb": ("jcb", "0505", "credit", "JP"),
    "pm_card_unionpay": ("unionpay", "0005", "credit", "CN"),
    "pm_card_bypassPending": ("visa", "0077", "credit", "US"),
    "pm_card_chargeDeclined": ("visa", "0002", "credit", "US"),
    "pm_card_visa_chargeDeclined": ("visa", "0002", "credit", "US"),
    "pm_card_chargeDeclinedInsufficientFunds": ("visa", "9995", "credit", "US"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("visa", "9995", "credit", "US"),
    "pm_card_visa_chargeDeclinedLostCard": ("visa", "9987", "credit", "US"),
    "pm_card_visa_chargeDeclinedStolenCard": ("visa", "9979", "credit", "US"),
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": ("visa", "6975", "credit", "US"),
    "pm_card_chargeDeclinedExpiredCard": ("visa", "0069", "credit", "US"),
    "pm_card_chargeDeclinedIncorrectCvc": ("visa", "0127", "credit", "US"),
    "pm_card_chargeDeclinedProcessingError": ("visa", "0119", "credit", "US"),
    "pm_card_chargeCustomerFail": ("visa", "0341", "credit", "US"),
    "pm_card_radarBlock": ("visa", "0019", "credit", "US"),
    "pm_card_createDispute": ("visa", "0259", "credit", "US"),
    "pm_card_createDisputeProductNotReceived": ("visa", "2685", "credit", "US"),
    "pm_card_createDisputeInquiry": ("visa", "1976", "credit", "US"),
    "pm_card_pendingRefund": ("visa", "7726", "credit", "US"),
    "pm_card_refundFail": ("visa", "5126", "credit", "US"),
    "pm_card_authenticationRequired": ("visa", "3184", "credit", "US"),
    "pm_card_authenticationRequiredOnSetup": ("visa", "3155", "credit", "US"),
    "pm_card_authenticationRequiredSetupForOffSession": ("visa", "3155", "credit", "US"),
    "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds": (
        "visa",
        "3178",
        "credit",
        "US",
    ),
    "pm_card_threeDSecure2Required": ("visa", "3220", "credit", "US"),
    "pm_card_threeDSecureRequired": ("visa", "3063", "credit", "US"),
    "pm_card_threeDSecureRequiredChargeDeclined": ("visa", "1629", "credit", "US"),
    "pm_card_threeDSecureOptional": ("visa", "3055", "credit", "US"),
    "pm_card_us": ("visa", "4242", "credit", "US"),
    "pm_card_cn": ("visa", "0002", "credit", "CN"),
    "pm_card_hk": ("visa", "0004", "credit", "HK"),
    "pm_card_visa_chargeDeclinedExpiredCard": ("visa", "0069", "credit", "US"),
    "pm_card_visa_chargeDeclinedIncorrectCvc": ("visa", "0127", "credit", "US"),
    "pm_card_visa_chargeDeclinedProcessingError": ("visa", "0119", "credit", "US"),
    "pm_card_chargeDeclinedFraudulent": ("visa", "4954", "credit", "US"),
    "pm_card_riskLevelHighest": ("visa", "4954", "credit", "US"),
    "pm_card_riskLevelElevated": ("visa", "9235", "credit", "US"),
    "pm_card_cvcCheckFail": ("visa", "0101", "credit", "US"),
    "pm_card_avsZipFail": ("visa", "0036", "credit", "US"),
    "pm_card_avsFail": ("visa", "0010", "credit", "US"),
    "pm_card_avsLine1Fail": ("visa", "0028", "credit", "US"),
    "pm_card_avsUnchecked": ("visa", "0044", "credit", "US"),
    "pm_card_threeDSecureRequiredProcessingError": ("visa", "1280", "credit", "US"),
    "pm_card_sim_processing": ("visa", "0008", "credit", "US"),
    "pm_card_sim_processingFails": ("visa", "0016", "credit", "US"),
}

#: The documented test numbers, each with its token. No other number is accepted anywhere.
TEST_NUMBERS: Final[Mapping[str, str]] = {
    "4242424242424242": "pm_card_visa",
    "4000056655665556": "pm_card_visa_debit",
    "5555555555554444": "pm_card_mastercard",
    "2223003122003222": "pm_card_mastercard",
    "5200828282828210": "pm_card_mastercard_debit",
    "5105105105105100": "pm_card_mastercard_prepaid",
    "378282246310005": "pm_card_amex",
    "371449635398431": "pm_card_amex",
    "6011111111111117": "pm_card_discover",
    "3056930009020004": "pm_card_diners",
    "3566002020360505": "pm_card_jcb",
    "6200000000000005": "pm_card_unionpay",
    "4000000000000077": "pm_card_bypassPending",
    "4000000000000002": "pm_card_chargeDeclined",
    "4000000000009995": "pm_card_chargeDeclinedInsufficientFunds",
    "4000000000009987": "pm_card_visa_chargeDeclinedLostCard",
    "4000000000009979": "pm_card_visa_chargeDeclinedStolenCard",
    "4000000000000069": "pm_card_chargeDeclinedExpiredCard",
    "4000000000000127": "pm_card_chargeDeclinedIncorrectCvc",
    "4000000000000119": "pm_card_chargeDeclinedProcessingError",
    "4000000000006975": "pm_card_visa_chargeDeclinedVelocityLimitExceeded",
    "4000000000000341": "pm_card_chargeCustomerFail",
    "4100000000000019": "pm_card_radarBlock",
    "4000000000000259": "pm_card_createDispute",
    "4000000000002685": "pm_card_createDisputeProductNotReceived",
    "4000000000001976": "pm_card_createDisputeInquiry",
    "4000000000007726": "pm_card_pendingRefund",
    "4000000000005126": "pm_card_refundFail",
    "4000002500003155": "pm_card_authenticationRequiredOnSetup",
    "4000002760003184": "pm_card_authenticationRequired",
    "4000008260003178": "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",
    "4000000000003220": "pm_card_threeDSecure2Required",
    "4000000000003063": "pm_card_threeDSecureRequired",
    "4000008400001629": "pm_card_threeDSecureRequiredChargeDeclined",
    "4000000000003055": "pm_card_threeDSecureOptional",
}


def test_token(token: str) -> str | None:
    """Return the `pm_card_…` of a test token given as `pm_card_…` or `tok_…`."""
    name = f"pm_card_{token.removeprefix('tok_')}" if token.startswith("tok_") else token
    return name if name in TEST_CARDS else None


def card_details(token: str) -> dict[str, Any]:
    """Return what may be shown of a test card; of another token, that it is a card."""
    brand, last4, funding, country = TEST_CARDS.get(token, ("unknown", "", "unknown", ""))
    return {"brand": brand, "last4": last4, "funding": funding, "country": country or None}
