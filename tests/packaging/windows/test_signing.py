"""The signing hook: with a certificate named, the program, the setup, its uninstaller and the MSI are signed by it."""

import shutil
import subprocess
from pathlib import Path

import pytest
import trustme

from installer.windows import installers
from tests.packaging.windows.till import Till

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A certificate of nobody's, and the environment that names it; returns that of its issuer."""
    issuer = trustme.CA()
    issued = issuer.issue_cert("signer.example", common_name="Signer")
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "certificate.pem"))
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issuer.cert_pem.write_to_path(str(tmp_path / "issuer.pem"))
    monkeypatch.setenv(installers.CERTIFICATE, str(tmp_path / "certificate.pem"))
    monkeypatch.setenv("FLASH_AGENT_SIGN_KEY", str(tmp_path / "key.pem"))
    return tmp_path / "issuer.pem"


def signature(file: Path) -> str:
    """What osslsigncode says of a file: every line of it."""
    done = subprocess.run(["osslsigncode", "verify", "-in", str(file)], check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_all_that_is_handed_out_is_signed(program: Path, till: Till, certificate: Path, tmp_path: Path) -> None:
    small = tmp_path / "program"
    (small / "_internal").mkdir(parents=True)
    shutil.copy(program / "flash-agent.exe", small)
    unsigned = signature(small / "flash-agent.exe")
    assert "No signature found" in unsigned

    installers.sign(small / "flash-agent.exe")
    made = list(installers.make(program, tmp_path / "out", "0.1.0", quick=True))
    assert [file.suffix for file in made] == [".exe", ".msi"]
    assert till.setup(made[0]) == 0, till.setup_log()
    for file in (small / "flash-agent.exe", *made, till.programs / "uninstall.exe"):
        said = signature(file)
        assert "CN=Signer" in said, said
        assert "Signature mismatch" not in said, said
        assert "Message digest" in said or "DigitalSignature" in said, said
