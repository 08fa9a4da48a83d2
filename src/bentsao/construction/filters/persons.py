"""Personal data: what can be told for sure from its form. Names cannot: 王女士，50岁 is how invented cases begin."""

from __future__ import annotations

import re

from bentsao.construction.filters.context import Context, reason
from bentsao.core.records import Conversation

_MOBILE = re.compile(r"(?<![\dA-Za-z.])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{4}[- ]?\d{4}(?![\dA-Za-z]|\.\d)")
_LANDLINE = re.compile(
    r"(?<![\d.])(?:\(0\d{2,3}\)|（0\d{2,3}）|0\d{2,3}-)\d{7,8}(?!\d)|(?<!\d)[48]00-\d{3}-?\d{4}(?!\d)"
)
_IDENTITY = re.compile(r"(?<!\d)\d{17}[\dXx](?!\d)")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_ACCOUNT = re.compile(r"(?:微信|QQ|qq|支付宝|抖音)(?:号|群)?(?:码|是|为)?\s*[:：]?\s*[A-Za-z0-9_-]{5,20}")
_RECORD = re.compile(
    r"(?:住院号|病历号|门诊号|就诊卡号?|医保卡?号|社保卡?号|身份证号?码?|病案号|护照号?)(?:是|为)?\s*[:：]?\s*[A-Za-z]?\d{4,}"
)

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


def personal_data(conversation: Conversation, _: Context) -> str | None:
    """A telephone number, identity card, address or account, anywhere in the row."""
    for message in conversation.messages:
        text = f"{message.content}\n{message.input}"
        for label, pattern in (
            ("手机号码", _MOBILE),
            ("电话号码", _LANDLINE),
            ("电子邮箱", _MAIL),
            ("社交账号", _ACCOUNT),
            ("证件或病历号", _RECORD),
        ):
            if found := pattern.search(text):
                return reason(label, _veiled(found.group()))
        for found in _IDENTITY.finditer(text):
            if is_identity_number(found.group()):
                return reason("身份证号码", _veiled(found.group()))
    return None


def is_identity_number(number: str) -> bool:
    """Whether 18 characters are a Chinese identity number: a date of birth and the check character of GB 11643."""
    year, month, day = int(number[6:10]), int(number[10:12]), int(number[12:14])
    if not (1850 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 31):
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number, strict=False))
    return _CHECKS[total % 11] == number[17].upper()


def _veiled(piece: str) -> str:
    """The piece with its middle hidden: a report of personal data must not spread it."""
    keep = max(1, min(3, len(piece) // 4))
    return piece[:keep] + "*" * (len(piece) - 2 * keep) + piece[-keep:]
