#!/usr/bin/env bash
# Sign a Windows program in place: installer/windows/sign.sh FILE
#
#   FLASH_AGENT_SIGN_CERTIFICATE   the certificate and those that issued it, PEM
#   FLASH_AGENT_SIGN_KEY           its key: PEM, or what a PKCS#11 engine takes
#   FLASH_AGENT_SIGN_PASSWORD_FILE optional: a file with the key's password
#   FLASH_AGENT_SIGN_TIMESTAMP     optional: the address of a time-stamping authority; without one the signature ends
#                                  with the certificate
set -euo pipefail
file=$1
words=(-certs "$FLASH_AGENT_SIGN_CERTIFICATE" -key "$FLASH_AGENT_SIGN_KEY" -h sha256 -n "Flash POS Agent")
[ -n "${FLASH_AGENT_SIGN_PASSWORD_FILE:-}" ] && words+=(-readpass "$FLASH_AGENT_SIGN_PASSWORD_FILE")
[ -n "${FLASH_AGENT_SIGN_TIMESTAMP:-}" ] && words+=(-ts "$FLASH_AGENT_SIGN_TIMESTAMP")
osslsigncode sign "${words[@]}" -in "$file" -out "$file.signed" >/dev/null
mv "$file.signed" "$file"
