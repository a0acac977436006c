"""Reads trivy's reports.

trivy.py --expect ID REPORT...      fails unless a finding is there
trivy.py --ignored FILE REPORT...   fails where a finding has no explanation, or an explanation no finding"""
import json, re, sys


def failures(report):
    for result in json.load(open(report)).get("Results") or []:
        for m in result.get("Misconfigurations") or []:
            if m["Status"] == "FAIL":
                yield m["ID"], m["Severity"], result["Target"], m.get("CauseMetadata", {}).get("Resource", ""), m["Message"]


def explanations(path):
    """Reads the explanations, which are of the form of a .trivyignore.yaml: an id, the resources that it is about, and why."""
    found, current = [], None
    for line in open(path):
        if match := re.match(r"\s+- id: (\S+)$", line):
            current = {"id": match[1], "resources": [], "statement": ""}
            found.append(current)
        elif match := re.match(r'\s+- "(.+)"$', line):
            current["resources"].append(match[1])
        elif match := re.match(r"\s+statement: (.+)$", line):
            current["statement"] = match[1]
    for e in found:
        assert e["statement"] and e["resources"], f"{e['id']} is not explained"
    return found


mode, what, reports = sys.argv[1], sys.argv[2], sys.argv[3:]
found = sorted({f for report in reports for f in failures(report)})
if mode == "--expect":
    sys.exit(0 if any(f[0] == what for f in found) else f"{what} is not among {found}")
explained, used, bad = explanations(what), set(), 0
for finding in found:
    kind, severity, target, resource, message = finding
    known = [e for e in explained if e["id"] == kind and any(re.fullmatch(r, resource or target) for r in e["resources"])]
    if not known:
        print(f"  {severity} {kind} {target} {resource}: {message}")
        bad += 1
    used.update(id(e) for e in known)
for e in explained:
    if id(e) not in used:
        print(f"  {e['id']} is explained and not found any more: {e['resources']}")
        bad += 1
print(f"  {len(found)} findings of severity high or critical, {bad} without an explanation or the other way round")
sys.exit(1 if bad else 0)
