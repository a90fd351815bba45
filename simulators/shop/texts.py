"""The shop's words, Chinese and English."""

from typing import Final

from simulators.common.pages import Texts

_EN: Final = {
    "shop": "Demo shop",
    "lead": "What Tillgate tells a merchant by webhook, both signatures checked by the merchant's own code.",
    "simulated": "A demo. The shop believes nothing that is not signed, and forgets all at the end.",
    "live": "live",
    "received": "received",
    "refused": "refused",
    "nothing": "Nothing has come yet. Pay a top-up, and its events appear here by themselves.",
    "no_secret": "No endpoint is registered yet. tillgate seed does that.",
    "endpoint": "Endpoint",
    "good": "good",
    "wrong": "does not fit",
    "stale": "too old",
    "missing": "missing",
    "again": "sent again",
    "again_hint": "The same event id as before: to be ignored.",
    "late": "out of order",
    "late_hint": "A later sequence of this object came before.",
    "live_mode": "live mode",
    "sequence": "sequence",
    "raw": "Raw JSON",
    "unreadable": "not an event",
    "kept": "The last {} are kept.",
    "other_language": "中文",
    "other_code": "zh",
}
_ZH: Final = {
    "shop": "演示商户",
    "lead": "Tillgate 通过 Webhook 通知商户的内容，两种签名均由商户自己的代码验证。",
    "simulated": "演示程序：未通过验签的内容一概不信，退出后全部清空。",
    "live": "实时",
    "received": "已收到",
    "refused": "已拒绝",
    "nothing": "还没有收到通知。完成一次充值后，事件会自动出现在这里。",
    "no_secret": "尚未登记 Webhook 地址，请运行 tillgate seed。",
    "endpoint": "端点",
    "good": "通过",
    "wrong": "不符",
    "stale": "已过期",
    "missing": "缺失",
    "again": "重复送达",
    "again_hint": "与之前的事件编号相同，应忽略。",
    "late": "乱序",
    "late_hint": "该对象更新的事件已先到达。",
    "live_mode": "正式环境",
    "sequence": "序号",
    "raw": "原始 JSON",
    "unreadable": "无法识别",
    "kept": "仅保留最近 {} 条。",
    "other_language": "English",
    "other_code": "en",
}
TEXTS: Final[Texts] = {"en": _EN, "zh": _ZH}
