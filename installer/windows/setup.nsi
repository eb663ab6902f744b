; setup.exe: made by installers.py with makensis -DVERSION= -DNUMBERS= -DPROGRAM= -DOUT= [-DSIGN=]
;
; The new version is unpacked beside the one that runs and tried before anything is switched; then the service is pointed
; to it, and back where it does not get ready. At no moment is there no program that the service can start.
;
; Switches: /S no windows; /D=folder (last, without quotes); /ANSWERS=file hands it to flash-agent setup --from;
; /POLICY lets the web registers of [api] allowed_origins past Chrome's and Edge's question; /LOG=file; /UNINSTALL
; [/PURGE] runs the uninstaller and waits for it; /MSI leaves the list of programs to the MSI that runs us.
; A setup.toml beside setup.exe counts as /ANSWERS where none is named.

Target amd64-unicode
Unicode true
ManifestDPIAware true
ManifestSupportedOS all
RequestExecutionLevel admin
!ifdef QUICK ; for tests, which make several
  SetCompress off
!else
  SetCompressor /SOLID lzma
!endif
SetDatablockOptimize on
SetDateSave off
AllowSkipFiles off
CRCCheck on

!include LogicLib.nsh
!include FileFunc.nsh
!include WinVer.nsh
!include x64.nsh

!define NAME "Flash POS Agent"
!define SERVICE "FlashAgent"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\FlashPosAgent"
!define SERVICE_KEY "SYSTEM\CurrentControlSet\Services\${SERVICE}"

!define E_WINDOWS 10     ; not a 64-bit Windows 10 or newer
!define E_ANSWERS 11     ; the file of /ANSWERS is not there
!define E_UNPACK 12      ; not all could be written; what ran before still runs
!define E_PROGRAM 13     ; the new program does not start here; what ran before still runs
!define E_ROLLED_BACK 14 ; the new version did not get ready; the one before runs again
!define E_NOT_READY 15   ; no version got ready, or there was none before
!define E_SETUP 16       ; flash-agent setup did not take the answers; the program stays
!define E_POLICY 17      ; all is well, but the browsers' policy could not be written
!define E_STAYS 18       ; the new version ended after it was ready; it stays, and was started again

!define E_SERVICE 20     ; (uninstall) the service could not be stopped or removed; nothing was deleted
!define E_LEFT 21        ; (uninstall) uninstalled, but not all of the data could be deleted

!ifdef SIGN
  !finalize '"${SIGN}" "%1"' = 0
  !uninstfinalize '"${SIGN}" "%1"' = 0
!endif

Name "${NAME} ${VERSION}"
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\${NAME}"
ShowInstDetails show
BrandingText "${NAME} ${VERSION}"
VIProductVersion "${NUMBERS}"
VIAddVersionKey ProductName "${NAME}"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "${NAME} setup"
VIAddVersionKey LegalCopyright "Apache License 2.0"
VIAddVersionKey CompanyName "Flash POS Agent contributors"

Page directory
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

Var Answers    ; a file, or nothing
Var Policy     ; yes, or nothing
Var Folder     ; this version's name below $INSTDIR
Var Before     ; the program that the service ran before, or nothing
Var BeforeName ; its folder's name
Var Log
Var Msi        ; yes, or nothing
Var Unpacking  ; yes, or nothing
Var IsNew      ; yes where the till is not set up yet, or nothing

; Run a program with its words, write down what it says; its exit code is in $0.
!macro Run WORDS
  nsExec::ExecToStack `${WORDS}`
  Pop $0
  Pop $1
  DetailPrint `${WORDS}: $0`
  !insertmacro Say `${WORDS}: $0$\r$\n$1`
!macroend
!define Run "!insertmacro Run"

!macro Say TEXT
  ${If} $Log != ""
    FileOpen $9 "$Log" a
    FileSeek $9 0 END
    FileWriteUTF16LE $9 `${TEXT}$\r$\n`
    FileClose $9
  ${EndIf}
!macroend
!define Say "!insertmacro Say"

; End with an exit code, and tell whoever looks why.
!macro Fail CODE TEXT
  ${Say} `${TEXT} (exit code ${CODE})`
  SetErrorLevel ${CODE}
  MessageBox MB_OK|MB_ICONSTOP `${TEXT}` /SD IDOK
  Quit
!macroend
!define Fail "!insertmacro Fail"

; The program that the service runs goes into $0, its folder's name into $1; nothing where there is no service.
!macro ServiceProgram UN
Function ${UN}ServiceProgram
  SetRegView 64
  ReadRegStr $0 HKLM "${SERVICE_KEY}" "ImagePath"
  StrCpy $1 ""
  ${If} $0 != ""
    StrCpy $2 $0 1
    ${If} $2 == '"' ; up to the second quote
      StrCpy $0 $0 "" 1
      StrCpy $3 0
      ${Do}
        StrCpy $2 $0 1 $3
        ${If} $2 == '"'
        ${OrIf} $2 == ""
          ${ExitDo}
        ${EndIf}
        IntOp $3 $3 + 1
      ${Loop}
      StrCpy $0 $0 $3
    ${EndIf}
    ${GetParent} $0 $2
    ${GetFileName} $2 $1
  ${EndIf}
FunctionEnd
!macroend
!insertmacro ServiceProgram ""
!insertmacro ServiceProgram "un."

; Where the program lies already, unless /D names another folder: there is its uninstaller, and what people call.
Function FindFolder
  ${If} $INSTDIR != "$PROGRAMFILES64\${NAME}"
    Return
  ${EndIf}
  Call ServiceProgram
  ${GetParent} $0 $1
  ${GetParent} $1 $1
  ${If} $0 == ""
    ReadRegStr $1 HKLM "${UNINSTALL_KEY}" "InstallLocation"
  ${EndIf}
  ${If} $1 != ""
  ${AndIf} ${FileExists} "$1\uninstall.exe"
    StrCpy $INSTDIR $1
  ${EndIf}
FunctionEnd

Function .onInit
  SetRegView 64
  SetShellVarContext all
  Call FindFolder
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/LOG=" $Log
  ${If} $Log != ""
    FileOpen $9 "$Log" a
    FileClose $9
    GetFullPathName $Log "$Log" ; of what is there alone; SetOutPath leads elsewhere
  ${EndIf}
  ${IfNot} ${RunningX64}
  ${OrIfNot} ${AtLeastWin10}
    ${Fail} ${E_WINDOWS} "${NAME} needs a 64-bit Windows 10 or newer."
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/POLICY" $R1
  ${IfNot} ${Errors}
    StrCpy $Policy "yes"
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/MSI" $R1
  ${IfNot} ${Errors}
    StrCpy $Msi "yes"
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/UNINSTALL" $R1
  ${IfNot} ${Errors}
    Call Uninstalled
  ${EndIf}
  ClearErrors
  ${GetOptions} $R0 "/ANSWERS=" $Answers
  ${If} $Answers == ""
  ${AndIf} ${FileExists} "$EXEDIR\setup.toml"
    StrCpy $Answers "$EXEDIR\setup.toml"
  ${EndIf}
  ${If} $Answers != ""
  ${AndIfNot} ${FileExists} "$Answers"
    ${Fail} ${E_ANSWERS} "There is no file $Answers, which /ANSWERS names."
  ${EndIf}
  ${If} $Answers != ""
    GetFullPathName $Answers "$Answers"
  ${EndIf}
FunctionEnd

; Run the uninstaller where it is, wait for it, and end as it ends.
Function Uninstalled
  StrCpy $R2 ""
  ${GetOptions} $R0 "/PURGE" $R1
  ${IfNot} ${Errors}
    StrCpy $R2 "/PURGE"
  ${EndIf}
  StrCpy $0 0
  ${If} ${FileExists} "$INSTDIR\uninstall.exe"
    ExecWait '"$INSTDIR\uninstall.exe" /S $R2 _?=$INSTDIR' $0
    ${If} $0 == 0
      Delete "$INSTDIR\uninstall.exe"
      RMDir "$INSTDIR"
    ${EndIf}
  ${EndIf}
  SetErrorLevel $0
  Quit
FunctionEnd

Section
  ${If} $Log == ""
    CreateDirectory "$INSTDIR"
    StrCpy $Log "$INSTDIR\setup.log"
  ${EndIf}
  ${Say} "${NAME} ${VERSION}"
  Call ServiceProgram
  StrCpy $Before $0
  StrCpy $BeforeName $1
  StrCpy $Folder "${VERSION}"
  ${If} $BeforeName == $Folder ; the same again: beside it, for its files are in use
    StrCpy $Folder "${VERSION}-again"
  ${EndIf}
  Call Unpack
  ${If} $Before == ""
    Call First
  ${Else}
    Call Switch
  ${EndIf}
  Call Register
  Call TidyUp
  ${If} $Policy != ""
    ${Run} '"$INSTDIR\$Folder\flash-agent.exe" browsers allow'
    ${If} $0 != 0
      ${Fail} ${E_POLICY} "${NAME} is installed, but the browsers' policy could not be written: $1"
    ${EndIf}
  ${EndIf}
  ${If} $Msi != "" ; its own entry stands in the list of programs; where we fail it takes that back, and ours stays
    DeleteRegKey HKLM "${UNINSTALL_KEY}"
  ${EndIf}
  ${Say} "done"
SectionEnd

; Whoever sits there is led on, in a console that stays open; /S is not asked.
Function .onInstSuccess
  ${If} $IsNew != ""
    MessageBox MB_YESNO|MB_ICONQUESTION "The program is installed. This till is not set up yet: set it up now?" /SD IDNO IDNO later
    Exec '"$SYSDIR\cmd.exe" /k ""$INSTDIR\flash-agent.cmd" setup"'
    later:
  ${EndIf}
FunctionEnd

; Put the program beside what is there, whole, and see that it starts here.
Function Unpack
  RMDir /r "$INSTDIR\$Folder"
  StrCpy $Unpacking "yes"
  SetOutPath "$INSTDIR\$Folder"
  File /r "${PROGRAM}/*" ; ends the setup where it cannot: .onInstFailed
  StrCpy $Unpacking ""
  SetOutPath "$INSTDIR"
  ${Locate} "$INSTDIR\$Folder" "/L=F" "OntoDisk"
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" --version'
  ${If} $0 != 0
    RMDir /r "$INSTDIR\$Folder"
    ${Fail} ${E_PROGRAM} "The new program does not start on this machine ($0). Nothing was changed."
  ${EndIf}
FunctionEnd

; One file ($R9) onto the disk: the service's path may reach it before, and after a power cut lead to files of zeros.
Function OntoDisk
  System::Call 'kernel32::CreateFileW(w R9, i 0x40000000, i 7, p 0, i 3, i 0, p 0) p.R4'
  System::Call 'kernel32::FlushFileBuffers(p R4)'
  System::Call 'kernel32::CloseHandle(p R4)'
  Push $R4
FunctionEnd

; NSIS ends us itself at the first file that cannot be written (one that is open, a full disk), whatever we would do.
Function .onInstFailed
  ${If} $Unpacking != ""
    StrCpy $Unpacking ""
    SetOutPath "$INSTDIR"
    RMDir /r "$INSTDIR\$Folder"
    ${Fail} ${E_UNPACK} "Not all files could be written to $INSTDIR. Is the disk full? Nothing was changed."
  ${EndIf}
FunctionEnd

; There was no service: set up by the answers, or by a configuration that is there; else setup is left to be run.
Function First
  Call PointCommand
  ${If} $Answers != ""
    ${Run} '"$INSTDIR\$Folder\flash-agent.exe" setup --from "$Answers"'
    ${If} $0 != 0
      Call Register
      ${Fail} ${E_SETUP} "flash-agent setup did not take the answers: $1"
    ${EndIf}
  ${ElseIf} ${FileExists} "$APPDATA\flash-agent\agent.toml"
    ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service install'
    ${If} $0 == 0
      ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service start'
    ${EndIf}
    ${If} $0 != 0
      Call Register
      ${Fail} ${E_NOT_READY} "The service does not get ready: $1"
    ${EndIf}
  ${Else}
    StrCpy $IsNew "yes"
    DetailPrint "Now run: $INSTDIR\flash-agent.cmd setup"
    ${Say} "not set up yet: flash-agent setup"
  ${EndIf}
FunctionEnd

; Point the service to the new program, start it, and go back where it does not get ready.
Function Switch
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service install'
  ${If} $0 == 0
    ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service restart'
  ${EndIf}
  ${If} $0 == 0
    Call PointCommand
    Return
  ${EndIf}
  StrCpy $R5 $1
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service stop'
  Call StayIfReady
  ${Run} '"$Before" service install'
  ; Windows starts what failed again, and may have done so with the new one until now: it may have got ready yet
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service stop'
  StrCpy $R6 $0
  StrCpy $R7 $1
  Call StayIfReady
  ${If} $R6 != 0 ; what runs may be the new one: its files are needed, and it is not the one before
    ${Fail} ${E_NOT_READY} "The new version did not get ready and does not stop; started again, the service runs the one before. $R7"
  ${EndIf}
  ${Run} '"$Before" service start'
  ${If} $0 != 0
    ${Fail} ${E_NOT_READY} "Neither the new version nor the one before gets ready: $1"
  ${EndIf}
  RMDir /r "$INSTDIR\$Folder"
  ${Fail} ${E_ROLLED_BACK} "The new version did not get ready, and the one before runs again: $R5"
FunctionEnd

; There is no way back behind a version that was ready: it may have stored what only it can read, and the one before says
; that it would refuse that. Asked when the new one is stopped.
Function StayIfReady
  ${Run} '"$Before" upgrade check'
  ${If} $0 == 1
    Call Stay
  ${EndIf}
FunctionEnd

; The new one is started again, and whether it runs now is said.
Function Stay
  Call PointCommand
  Call Register
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service install'
  ${Run} '"$INSTDIR\$Folder\flash-agent.exe" service start'
  StrCpy $R6 "Started again, it runs."
  ${If} $0 != 0
    StrCpy $R6 "Started again, it does not get ready; install a newer version. $1"
  ${EndIf}
  ${Fail} ${E_STAYS} "The new version ended after it was ready. There is no way back, and it stays. $R6 ($R5)"
FunctionEnd

; flash-agent.cmd, which people call, names this version; replaced in one step.
Function PointCommand
  FileOpen $9 "$INSTDIR\flash-agent.cmd.new" w
  FileWrite $9 '@"%~dp0$Folder\flash-agent.exe" %*$\r$\n'
  System::Call 'kernel32::FlushFileBuffers(p r9)'
  FileClose $9
  System::Call 'kernel32::MoveFileExW(w "$INSTDIR\flash-agent.cmd.new", w "$INSTDIR\flash-agent.cmd", i 9)'
FunctionEnd

Function Register
  WriteUninstaller "$INSTDIR\uninstall.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayName" "${NAME}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "Publisher" "Flash POS Agent contributors"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL_KEY}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${UNINSTALL_KEY}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoModify" 1
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" "NoRepair" 1
FunctionEnd

; Of older versions the last one stays, to go back to by hand.
Function TidyUp
  FindFirst $3 $4 "$INSTDIR\*"
  ${DoWhile} $4 != ""
    ${If} $4 != "."
    ${AndIf} $4 != ".."
    ${AndIf} $4 != $Folder
    ${AndIf} $4 != $BeforeName
    ${AndIf} ${FileExists} "$INSTDIR\$4\flash-agent.exe"
      RMDir /r "$INSTDIR\$4"
    ${EndIf}
    FindNext $3 $4
  ${Loop}
  FindClose $3
FunctionEnd

; Uninstalling: /S no windows; /PURGE deletes what waits to be sent, the keys and the configuration as well.
Var Purge

Function un.onInit
  SetRegView 64
  SetShellVarContext all
  ${GetParameters} $R0
  ClearErrors
  ${GetOptions} $R0 "/PURGE" $R1
  ${IfNot} ${Errors}
    StrCpy $Purge "yes"
  ${EndIf}
FunctionEnd

; Any program of ours, where the service names none.
Function un.AnyProgram
  StrCpy $0 ""
  FindFirst $3 $4 "$INSTDIR\*"
  ${DoWhile} $4 != ""
    ${If} ${FileExists} "$INSTDIR\$4\flash-agent.exe"
      StrCpy $0 "$INSTDIR\$4\flash-agent.exe"
    ${EndIf}
    FindNext $3 $4
  ${Loop}
  FindClose $3
FunctionEnd

; A version's folder goes as soon as its process has ended, which is a moment after it has said so.
Function un.RemoveVersions
  FindFirst $3 $4 "$INSTDIR\*"
  ${DoWhile} $4 != ""
    ${If} $4 != "."
    ${AndIf} $4 != ".."
    ${AndIf} ${FileExists} "$INSTDIR\$4\flash-agent.exe"
      ${For} $5 1 100
        RMDir /r "$INSTDIR\$4"
        ${IfNot} ${FileExists} "$INSTDIR\$4\*"
          ${Break}
        ${EndIf}
        Sleep 100
      ${Next}
    ${EndIf}
    FindNext $3 $4
  ${Loop}
  FindClose $3
FunctionEnd

Section Uninstall
  SetOutPath "$TEMP"
  Call un.ServiceProgram
  StrCpy $Before $0
  ${IfNot} ${FileExists} "$Before"
    Call un.AnyProgram
    StrCpy $Before $0
  ${EndIf}
  ${If} $Before != ""
    ${Run} '"$Before" browsers remove'
    ${Run} '"$Before" service uninstall'
    ${If} $0 != 0
      ${Fail} ${E_SERVICE} "The service could not be removed, and nothing was deleted: $1"
    ${EndIf}
  ${EndIf}
  Call un.RemoveVersions
  Delete "$INSTDIR\flash-agent.cmd"
  Delete "$INSTDIR\setup.log"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  DeleteRegKey HKLM "${UNINSTALL_KEY}"
  ${If} $Purge != ""
    ${For} $5 1 50 ; a scanner looks at what has just been closed
      RMDir /r "$APPDATA\flash-agent"
      ${IfNot} ${FileExists} "$APPDATA\flash-agent\*"
        ${Break}
      ${EndIf}
      Sleep 100
    ${Next}
    ${If} ${FileExists} "$APPDATA\flash-agent\*"
      ${Fail} ${E_LEFT} "Not all of $APPDATA\flash-agent could be deleted: a program has something in it open. Delete what is left by hand: it may be customers' data and keys."
    ${EndIf}
    DetailPrint "Deleted: $APPDATA\flash-agent, with all that waited to be sent."
  ${ElseIf} ${FileExists} "$APPDATA\flash-agent\*"
    DetailPrint "Kept: $APPDATA\flash-agent, with all that waits to be sent. To delete it: uninstall.exe /PURGE."
    MessageBox MB_OK|MB_ICONINFORMATION "Kept: $APPDATA\flash-agent, with all that waits to be sent. Installed again, it goes on." /SD IDOK
  ${EndIf}
SectionEnd
