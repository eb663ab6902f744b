"""Records of Salesforce as tests write them: sound as they stand, and with fields of the test's own."""

ORDER, ORDER_18 = "801Dn0000000201", "801Dn0000000201IAA"
SUMMARY, SUMMARY_18 = "1OsDn0000000101", "1OsDn0000000101KAA"
ORIGINAL, ORIGINAL_18 = "801Dn0000000101", "801Dn0000000101IAA"  # the order that the summary was made from
ACCOUNT_18 = "001Dn0000000017IAA"
CONTACT_18 = "003Dn0000000017IAA"


def record(kind, **fields):
    return {"attributes": {"type": kind}, **fields}


def order(**fields):
    own = {"Id": ORDER, "OrderNumber": "00000201", "Status": "Activated", "TotalAmount": 120, "AccountId": ACCOUNT_18}
    return record("Order", **{**own, **fields})


def summary(**fields):
    own = {"Id": SUMMARY, "OrderNumber": "00000101", "Status": "Fulfilled", "GrandTotalAmount": 240.5}
    own["OriginalOrderId"] = ORIGINAL
    return record("OrderSummary", **{**own, "AccountId": ACCOUNT_18, **fields})


def back(**fields):
    own = {"Id": "0tEDn0000000001", "Status": "Closed", "GrandTotalAmount": 20, "AccountId": ACCOUNT_18}
    return record("ReturnOrder", **{**own, **fields})


def memo(**fields):
    own = {"Id": "50gDn0000000001", "Status": "Posted", "TotalAmountWithTax": 12, "BillingAccountId": ACCOUNT_18}
    return record("CreditMemo", **{**own, **fields})


# An org whose credit memos give back.
MEMOS = {"refunds_from": "credit-memos"}

# What a credit memo shows of its order summary, by TYPEOF ReferenceEntity WHEN OrderSummary THEN … END.
TYPED = record("OrderSummary", Id=SUMMARY_18, OriginalOrderId=ORIGINAL)
