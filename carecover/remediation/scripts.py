"""The fixed text of the .cmd files: subroutines in the grammar of ``grammar.py``, joined by ``bundle.py``.

How the batch decides, and why so:

* *State is asked, never read.* certutil's words are translated, so each question is a
  restriction (serial number, disposition, reason) and the answer is whether the quoted
  serial number and the row's hash stand in the output. certutil prints the column name
  ``SerialNumber`` into every answer, also into an empty one: without it nothing was
  answered, and a failed look-up is a failure, never "absent".
* *Only what the CA says decides.* No file remembers how far an earlier run came. A row
  that is as planned is skipped, so a run can be repeated after any interruption.
* *A call that was not made has not succeeded.* cmd.exe does not start a command whose output
  file cannot be opened (a scanner, a backup or a second window holds it), and leaves
  ERRORLEVEL as the command before left it. So ``:doubt`` sets it to 1 before each call of
  certutil: an older answer is never read as the answer to this question. And a variable of
  the session that is named ERRORLEVEL would hide the real one: it is removed.
* *Nothing issued since the baseline.* A new certificate is a row above the baseline's
  newest request ID. Imports make such rows too, so where there is one, the rows are counted
  by request ID and the planned certificates that were imported are counted by serial number
  and hash; both counts agree only where every new row is one of ours. Rows without a
  certificate (pending, failed, denied) do not count.

Assumed of real CAs, in the lack of a machine to try: an imported row has disposition 20
and its CertificateHash; a row revoked without a reason has RevokedReason 0; ``Disposition``
is understood without its table's name, and one column may be restricted twice; -ca.cert
writes the newest CA certificate in DER; -getcrl takes the index of a CA certificate; -view
CRL knows the column CRLNumber and prints numbers as 0x...; -Cert before -sign keeps the
dialog away. Where one of these is wrong, a batch stops or says that it does not know.

The module is long because three batches are, and because they share most of their text.
"""

# ruff: noqa: E501 - a statement of a batch is one line

from __future__ import annotations

from typing import Final

# The three files begin alike; @NAME@ is replaced by checked values (bundle.py).
PROLOGUE: Final = r"""
@echo off
setlocal EnableExtensions DisableDelayedExpansion
rem Written by carecover from a plan that two people signed. Do not edit: write the bundle again.
set "ERRORLEVEL="
cd /d "%~dp0"
set "PLAN=@PLAN@"
@SETTINGS@
set "CERTUTIL=%SystemRoot%\System32\certutil.exe"
set "FIND=%SystemRoot%\System32\find.exe"
set "FC=%SystemRoot%\System32\fc.exe"
set "WHOAMI=%SystemRoot%\System32\whoami.exe"
set "OUT=work\answer.txt"
set "ABORT="
set "ENOUGH="
set "REFUSED="
set "OPTION=unknown"
set "PHASE="
set "PREFIX="
set "FAILS=0"
set "DONE=0"
set "SKIPPED=0"
set "STOPPED=0"
set "LEFT=0"
"""

# Before anything is written: this is the folder of the bundle (cd fails on a UNC path, and an
# elevated prompt stands in System32). Then one run at a time: the file of the redirection is
# open for as long as :start runs, nobody else can open it for writing meanwhile, and it is
# free again however the run ends. What it gathers is what Windows itself says of files.
ALONE: Final = r"""
:alone
set "WHY=bundle"
if not exist "manifest.json" goto :unlogged
"%FIND%" "%PLAN%" "manifest.json" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
set "WHY=bits"
if defined PROCESSOR_ARCHITEW6432 goto :unlogged
if not exist "logs" mkdir "logs"
if not exist "work" mkdir "work"
if not exist "out" mkdir "out"
set "ALONE="
call :doubt
call :start 2>>"work\errors.txt"
set "RC=%ERRORLEVEL%"
if defined ALONE exit /b %RC%
set "WHY=busy"
goto :unlogged
"""

DOUBT: Final = r"""
:doubt
exit /b 1
"""

# Opens the log, then makes the checks that every phase needs: the folder can be written, the
# session is elevated, and this is the CA of the plan: its certificate is compared byte by byte
# with the bundle's and its hash with the plan's (ca.cer may have been changed with the CA; and
# fc.exe of Wine 8 finds everything equal).
START: Final = r"""
:start
set "ALONE=1"
set "LOG=logs\carecover-%PREFIX%%PHASE%.log"
set "VIEW=out\%PREFIX%view.txt"
set "WHY=folder"
>>"%LOG%" echo @@CR plan %PLAN%
>>"%LOG%" echo @@CR phase %PHASE% %OPTION%
"%FIND%" "@@CR plan %PLAN%" "%LOG%" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
call :doubt
"%WHOAMI%" /groups > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :refused
set "WHY=elevation"
"%FIND%" "S-1-16-12288" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :elevated
"%FIND%" "S-1-16-16384" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
:elevated
set "WHY=ca-answer"
if exist "work\ca.cer" del "work\ca.cer"
if exist "work\ca.cer" goto :refused
call :doubt
"%CERTUTIL%" @CONFIG@-ca.cert "work\ca.cer" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR check ca-cert %RC%
if not "%RC%"=="0" goto :refused
if not exist "work\ca.cer" goto :refused
set "WHY=ca"
"%FC%" /b "work\ca.cer" "ca.cer" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
set "FILE=work\ca.cer"
call :doubt
"%CERTUTIL%" -hashfile "%FILE%" SHA256 > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :refused
"%FIND%" "%CASHA%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :right_ca
"%FIND%" "%CASPACED%" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
:right_ca
"""

REFUSED: Final = r"""
:refused
>>"%LOG%" echo @@CR refused %WHY%
>>"%LOG%" echo @@CR end 3
:unlogged
if "%WHY%"=="bundle" echo REFUSED: this is not the folder of the bundle, or its files are not of one bundle. Copy the whole folder to a local disk and run it there.
if "%WHY%"=="bits" echo REFUSED: this is a 32-bit command prompt. Open the command prompt of Windows itself, with Run as administrator.
if "%WHY%"=="busy" echo REFUSED: this bundle is running already in another window, or this folder cannot be written. Wait for the other run to end, or copy the whole folder to a local disk.
if "%WHY%"=="folder" echo REFUSED: the folders logs and work cannot be written. Is the disk full, or a file open elsewhere? What Windows said is in work/errors.txt.
if "%WHY%"=="elevation" echo REFUSED: not elevated. Open the command prompt with Run as administrator.
if "%WHY%"=="ca-answer" echo REFUSED: the CA did not hand out its certificate. Is the service running, and may this account ask it?
if "%WHY%"=="ca" echo REFUSED: this is another CA, or its certificate was renewed. It is not the one in ca.cer.
if "%WHY%"=="database" echo REFUSED: the database did not answer. Is the service running, and may this account read it?
if "%WHY%"=="baseline" echo REFUSED: the newest request of the baseline is not in this database. Is it the restored one?
if "%WHY%"=="issued" echo REFUSED: the CA has issued since the baseline was exported, or a certificate was imported by hand. Nothing was changed. Stop issuing; what to do is in README.txt.
if "%WHY%"=="uncounted" echo REFUSED: the new rows of the database could not be accounted for. Nothing was changed. What to do is in README.txt.
if "%WHY%"=="files" echo REFUSED: a certificate file of this bundle is missing or was changed. Write the bundle again.
exit /b 3
"""

# Leaves the script with the counts; 5 where it had to end early, 1 where something is open.
FINISH: Final = r"""
:finish
set "RESULT=0"
if not "%STOPPED%"=="0" set "RESULT=1"
if not "%LEFT%"=="0" set "RESULT=1"
if defined ABORT set "RESULT=5"
if defined ABORT echo ENDED EARLY: %ABORT%. README.txt says what that means. Mend it and call the same again: what is done will be skipped.
if defined ABORT >>"%LOG%" echo @@CR aborted %ABORT%
>>"%LOG%" echo @@CR end %RESULT% done=%DONE% skipped=%SKIPPED% stopped=%STOPPED% left=%LEFT%
echo %PHASE%: %DONE% done, %SKIPPED% were so already, %STOPPED% stopped, %LEFT% left.
if not "%RESULT%"=="0" echo What certutil said is in %LOG%.
exit /b %RESULT%
"""

# cmd.exe looks for a label from where it stands to the end of the file, and only then from its
# beginning: what is called stands below its callers, so the items are not read each time.
# :ask "restriction" sets ANSWER to present, other (another hash), absent or failed.
# :look asks for the row in both spellings that a high serial number may have.
# :state sets STATE: failed, absent, other, good, planned, held, different, odd.
QUESTIONS: Final = r'''
:state
call :look
set "STATE=%ANSWER%"
if not "%ANSWER%"=="present" exit /b 0
call :ask ",Disposition=20"
set "STATE=good"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
if not defined REASON goto :state_held
call :ask ",Disposition=21,Request.RevokedReason=%REASON%"
set "STATE=planned"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
:state_held
call :ask ",Disposition=21,Request.RevokedReason=6"
set "STATE=held"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
call :ask ",Disposition=21"
set "STATE=different"
if "%ANSWER%"=="present" exit /b 0
set "STATE=failed"
if not "%ANSWER%"=="absent" exit /b 0
set "STATE=odd"
exit /b 0

:look
call :ask
if not "%ANSWER%"=="absent" exit /b 0
if not defined PAD exit /b 0
set "S=%PAD%%SERIAL%"
call :ask
if not "%ANSWER%"=="absent" exit /b 0
set "S=%SERIAL%"
exit /b 0

:ask
set "MORE=%~1"
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "SerialNumber=%S%%MORE%" -out "SerialNumber,CertificateHash" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :fatal
"%FIND%" "SerialNumber" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
"%FIND%" """%S%""" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="1" set "ANSWER=absent"
if not "%RC%"=="0" exit /b 0
set "ANSWER=present"
if not defined H exit /b 0
"%FIND%" "%H%" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" exit /b 0
set "ANSWER=failed"
if "%RC%"=="1" set "ANSWER=other"
exit /b 0

:fatal
if "%RC%"=="-2147023174" set "ABORT=rpc-unavailable"
if "%RC%"=="-2147024891" set "ABORT=access-denied"
exit /b 0
'''

# How one certificate ends. A stop is about this row alone; a failure is a call that failed,
# and three of those in a row end the run.
ENDINGS: Final = r"""
:item_done
set "STEP=already"
if defined DID set "STEP=done"
>>"%LOG%" echo @@CR %N% %SERIAL% %STEP% 0
echo %N% %SERIAL% %STEP%
set "FAILS=0"
if not defined DID set /a SKIPPED=SKIPPED+1
if defined DID set /a DONE=DONE+1
if defined DID call :one
exit /b 0

:item_stopped
set "RC=1"
>>"%LOG%" echo @@CR %N% %SERIAL% stopped-%WHY% %RC%
echo %N% %SERIAL% STOPPED: %WHY%
set /a STOPPED=STOPPED+1
if defined DID call :one
exit /b 0

:item_failed
if "%RC%"=="0" set "RC=1"
>>"%LOG%" echo @@CR %N% %SERIAL% failed-%WHY% %RC%
echo %N% %SERIAL% FAILED: %WHY% %RC%
set /a STOPPED=STOPPED+1
set /a FAILS=FAILS+1
if defined ABORT exit /b 0
if %FAILS% GEQ @MAX_FAILURES@ set "ABORT=@MAX_FAILURES@-failures-in-a-row"
call :one
exit /b 0

:item_left
set /a LEFT=LEFT+1
exit /b 0

:one
if "%OPTION%"=="first" set "ENOUGH=1"
exit /b 0
"""

ITEM: Final = r"""
:item
set "ACTION=%~1"
set "N=%~2"
set "SERIAL=%~3"
set "S=%~3"
set "PAD=%~4"
set "REASON=%~5"
set "H=%~6"
set "FILE=%~7"
set "SHA=%~8"
set "SPACED=%~9"
set "DID="
"""

# --------------------------------------------------------------------------- prepare.cmd

PREPARE_MAIN: Final = r"""
if /i "%~1"=="GO" set "OPTION=go"
if /i "%~1"=="FIRST" set "OPTION=first"
if "%OPTION%"=="unknown" goto :usage
if not "%~2"=="" goto :usage
set "PHASE=prepare"
goto :alone

:usage
echo prepare.cmd FIRST signs one dummy certificate and stops. Stay at the screen: a dialog may open.
echo prepare.cmd GO signs all that are not there yet.
echo It uses the key of the CA and changes nothing in its database.
exit /b 2
"""

PREPARE_ITEMS: Final = r"""
if not exist "dummies" mkdir "dummies"
@ITEMS@
goto :finish

:sign
set "N=%~1"
set "SERIAL=%~2"
set "SIGNER=%~3"
set "FILE=%~4"
set "DID="
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
if exist "%FILE%" goto :item_done
set "DID=1"
call :doubt
"%CERTUTIL%" -Cert %SIGNER% -sign %SERIAL% "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR %N% %SERIAL% sign %RC%
call :fatal
set "WHY=sign"
if not "%RC%"=="0" goto :item_failed
if not exist "%FILE%" goto :item_failed
goto :item_done

:fatal
if "%RC%"=="-2147023174" set "ABORT=rpc-unavailable"
if "%RC%"=="-2147024891" set "ABORT=access-denied"
exit /b 0
"""

# ---------------------------------------------------------------------------- revoke.cmd

REVOKE_MAIN: Final = r"""
if /i "%~1"=="preflight" set "PHASE=preflight"
if /i "%~1"=="apply" set "PHASE=apply"
if /i "%~1"=="publish" set "PHASE=publish"
if /i "%~1"=="status" set "PHASE=status"
if not defined PHASE goto :usage
if "%~2"=="" set "OPTION=none"
if /i "%PHASE% %~2"=="apply FIRST" set "OPTION=first"
if /i "%PHASE% %~2"=="publish PARTIAL" set "OPTION=partial"
if "%OPTION%"=="unknown" goto :usage
if not "%~3"=="" goto :usage
goto :alone

:usage
echo revoke.cmd preflight          checks everything and changes nothing
echo revoke.cmd apply [FIRST]      imports and revokes as planned; FIRST changes one certificate and stops
echo revoke.cmd publish [PARTIAL]  writes new CRLs; PARTIAL even where a planned revocation is missing
echo revoke.cmd status             shows what is as planned and changes nothing
echo Without one of these words nothing is done.
exit /b 2
"""

REVOKE_PHASES: Final = r"""
if "%PHASE%"=="publish" goto :publish
if "%PHASE%"=="status" goto :status
set "DO=files"
call :items
set "WHY=files"
if defined REFUSED goto :refused
call :database
if defined REFUSED goto :refused
if "%PHASE%"=="apply" goto :apply
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0

:apply
set "DO=apply"
call :items
goto :finish

:status
if exist "%VIEW%" del "%VIEW%"
set "DO=status"
call :items
goto :finish

:publish
set "DO=missing"
call :items
if defined ABORT goto :finish
if "%LEFT%"=="0" goto :crl_rounds
if "%OPTION%"=="partial" goto :crl_rounds
echo REFUSED: %LEFT% planned revocations are missing from the database. Apply first, or publish PARTIAL.
>>"%LOG%" echo @@CR refused missing
>>"%LOG%" echo @@CR end 3
exit /b 3

:crl_rounds
set "ROUND=0"
set "NUMBER=none"
:crl
set /a ROUND=ROUND+1
call :doubt
"%CERTUTIL%" @CONFIG@-crl >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR crl %ROUND% %RC%
if not "%RC%"=="0" echo FAILED: certutil -crl %RC%. See the log.
if not "%RC%"=="0" set "ABORT=crl"
call :fatal
if not "%RC%"=="0" goto :crl_save
if not defined LASTCRL goto :crl_save
set "NUMBER=unknown"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "CRLNumber>%LASTCRL%" -out "CRLNumber" CRL > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :crl_save
"%FIND%" "CRLNumber" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :crl_save
set "NUMBER=passed"
"%FIND%" "0x" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :crl_save
set "NUMBER=behind"
if %ROUND% LSS @MAX_CRL_ROUNDS@ goto :crl
:crl_save
>>"%LOG%" echo @@CR crl-number %NUMBER%
if "%NUMBER%"=="behind" echo The number of the CRL is still not above the last public one. Call publish again.
if "%NUMBER%"=="unknown" echo Whether the number of the CRL is above the last public one is not known. Hand the CRL to carecover verify.
if "%NUMBER%"=="behind" set /a STOPPED=STOPPED+1
if "%NUMBER%"=="unknown" set /a STOPPED=STOPPED+1
@SAVES@
goto :finish

:save
set "FILE=out\crl-%~1.crl"
if exist "%FILE%" del "%FILE%"
call :doubt
"%CERTUTIL%" @CONFIG@-getcrl "%FILE%" %~1 >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR getcrl %~1 %RC%
if not "%RC%"=="0" goto :unsaved
if exist "%FILE%" exit /b 0
:unsaved
echo The CRL was not saved: certutil -getcrl %RC%. Copy it from the CA by hand.
set /a STOPPED=STOPPED+1
exit /b 0

:database
if not defined NEWEST exit /b 0
set "WHY=baseline"
call :rows "RequestID=%NEWEST%"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="absent" set "REFUSED=1"
if "%ANSWER%"=="absent" exit /b 0
call :rows "RequestID>%NEWEST%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="absent" exit /b 0
set "OWN=0"
set "SEEN=0"
set "DO=own"
call :items
if defined REFUSED goto :database_failed
set /a ID=NEWEST
set /a LAST=NEWEST+OWN+OWN+@MAX_ID_GAP@
:walk
set "WHY=uncounted"
if "%SEEN%"=="%OWN%" goto :walked
if %ID% GEQ %LAST% set "REFUSED=1"
if %ID% GEQ %LAST% exit /b 0
set /a ID=ID+1
call :rows "RequestID=%ID%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="present" set /a SEEN=SEEN+1
goto :walk
:walked
set "WHY=issued"
call :rows "RequestID>%ID%,Disposition>=12,Disposition<=21"
if "%ANSWER%"=="failed" goto :database_failed
if "%ANSWER%"=="present" set "REFUSED=1"
exit /b 0
:database_failed
set "WHY=database"
set "REFUSED=1"
exit /b 0

:rows
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "%~1" -out "RequestID" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
"%FIND%" "RequestID" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" exit /b 0
"%FIND%" "0x" "%OUT%" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="1" set "ANSWER=absent"
if "%RC%"=="0" set "ANSWER=present"
exit /b 0
"""

REVOKE_ITEM: Final = r"""
if "%DO%"=="files" goto :files_item
if "%DO%"=="own" goto :own_item
if "%DO%"=="apply" goto :apply_item
if "%DO%"=="status" goto :status_item
if not "%ACTION%"=="revoke" exit /b 0
if defined ABORT exit /b 0
call :state
if "%STATE%"=="planned" exit /b 0
set /a LEFT=LEFT+1
>>"%LOG%" echo @@CR missing %N% %SERIAL% %STATE%
echo %N% %SERIAL% is not revoked as planned: %STATE%
exit /b 0

:files_item
if not defined FILE exit /b 0
if defined REFUSED exit /b 0
call :check_file
if "%ANSWER%"=="same" exit /b 0
>>"%LOG%" echo @@CR file %N% %SERIAL% %ANSWER%
echo %FILE% %ANSWER%
set "REFUSED=1"
exit /b 0

:own_item
if not defined FILE exit /b 0
if defined REFUSED exit /b 0
call :look
if "%ANSWER%"=="failed" set "REFUSED=1"
if not "%ANSWER%"=="present" exit /b 0
call :ask ",RequestID>%NEWEST%"
if "%ANSWER%"=="failed" set "REFUSED=1"
if "%ANSWER%"=="present" set /a OWN=OWN+1
exit /b 0

:status_item
if defined ABORT goto :item_left
call :state
if "%ACTION% %STATE%"=="revoke planned" goto :status_good
if "%ACTION% %STATE%"=="restore good" goto :status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% %STATE%
echo %N% %SERIAL% is not as planned: %STATE%
set /a LEFT=LEFT+1
goto :status_view
:status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% as-planned
set /a SKIPPED=SKIPPED+1
goto :status_view

:apply_item
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
call :state
if not "%STATE%"=="absent" goto :known
set "WHY=row-missing"
if not defined FILE goto :item_stopped
call :check_file
set "WHY=file-%ANSWER%"
if "%ANSWER%"=="failed" goto :item_failed
if not "%ANSWER%"=="same" goto :item_stopped
call :doubt
"%CERTUTIL%" @CONFIG@-importcert "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% import %RC%
call :fatal
set "DID=1"
call :state
set "WHY=import"
if "%STATE%"=="absent" set "RC=%RAN%"
if "%STATE%"=="absent" goto :item_failed
:known
set "WHY=look"
if "%STATE%"=="failed" goto :item_failed
set "WHY=other-certificate"
if "%STATE%"=="other" goto :item_stopped
set "WHY=odd-state"
if "%STATE%"=="odd" goto :item_stopped
set "WHY=other-reason"
if "%STATE%"=="different" goto :item_stopped
if "%ACTION%"=="restore" goto :restore
if "%STATE%"=="planned" goto :item_done
if defined ABORT goto :aborted_item
call :doubt
"%CERTUTIL%" @CONFIG@-revoke %S% %REASON% >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% revoke %RC%
call :fatal
set "DID=1"
call :ask ",Disposition=21,Request.RevokedReason=%REASON%"
if "%ANSWER%"=="present" goto :item_done
set "WHY=revoke"
if not "%RAN%"=="0" set "RC=%RAN%"
goto :item_failed
:restore
set "WHY=on-hold"
if "%STATE%"=="held" goto :item_stopped
goto :item_done
:aborted_item
set "WHY=import"
set "RC=%RAN%"
goto :item_failed

:check_file
set "ANSWER=missing"
if not exist "%FILE%" exit /b 0
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" -hashfile "%FILE%" SHA256 > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" exit /b 0
set "ANSWER=same"
"%FIND%" "%SHA%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" exit /b 0
"%FIND%" "%SPACED%" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" exit /b 0
set "ANSWER=changed"
exit /b 0
"""

# ------------------------------------------------------------------------------ undo.cmd

UNDO_MAIN: Final = r"""
set "PREFIX=undo-"
set "TAKE=unrevoke"
set "WANTED="
set "FOUND="
if /i "%~1"=="preflight" set "PHASE=preflight"
if /i "%~1"=="apply" set "PHASE=apply"
if /i "%~1"=="hold" set "PHASE=hold"
if /i "%~1"=="status" set "PHASE=status"
if not defined PHASE goto :usage
if not "%~3"=="" goto :usage
if "%PHASE%"=="hold" goto :which_hold
if "%~2"=="" set "OPTION=none"
if /i "%PHASE% %~2"=="apply FIRST" set "OPTION=first"
if "%OPTION%"=="unknown" goto :usage
goto :alone
:which_hold
if "%~2"=="" goto :usage
for /f "delims=0123456789" %%a in ("%~2") do goto :usage
set "WANTED=%~2"
set "TAKE=release"
set "OPTION=one"
goto :alone

:usage
echo undo.cmd preflight      checks everything and changes nothing
echo undo.cmd apply [FIRST]  takes off hold what the plan wants off hold; FIRST changes one and stops
echo undo.cmd hold NUMBER    takes off hold again what this plan put on hold under that number
echo undo.cmd status         shows what is as planned and changes nothing
echo Without one of these words nothing is done. Call revoke.cmd publish afterwards.
exit /b 2
"""

UNDO_PHASES: Final = r"""
if "%PHASE%"=="preflight" goto :checked
if not "%PHASE%"=="status" goto :undo_items
if exist "%VIEW%" del "%VIEW%"
:undo_items
call :items
if "%PHASE%"=="status" goto :finish
if not "%PHASE%"=="hold" goto :finish
if defined FOUND goto :finish
echo REFUSED: the plan put nothing on hold under that number.
>>"%LOG%" echo @@CR refused number
>>"%LOG%" echo @@CR end 3
exit /b 3
:checked
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0
"""

UNDO_ITEM: Final = r"""
if not "%ACTION%"=="%TAKE%" exit /b 0
if not defined WANTED goto :wanted
if not "%N%"=="%WANTED%" exit /b 0
:wanted
set "FOUND=1"
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
call :state
if "%PHASE%"=="status" goto :status_item
set "WHY=look"
if "%STATE%"=="failed" goto :item_failed
if "%STATE%"=="good" goto :item_done
set "WHY=%STATE%"
if not "%STATE%"=="held" goto :item_stopped
call :doubt
"%CERTUTIL%" @CONFIG@-revoke %S% -1 >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% unrevoke %RC%
call :fatal
set "DID=1"
call :ask ",Disposition=20"
if "%ANSWER%"=="present" goto :item_done
set "WHY=unrevoke"
if not "%RAN%"=="0" set "RC=%RAN%"
goto :item_failed

:status_item
if "%STATE%"=="good" goto :status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% %STATE%
echo %N% %SERIAL% is not off hold: %STATE%
set /a LEFT=LEFT+1
goto :status_view
:status_good
>>"%LOG%" echo @@CR status %N% %SERIAL% as-planned
set /a SKIPPED=SKIPPED+1
goto :status_view
"""

# The rows as they are, for carecover verify: in both files, so that each can be judged by itself.
STATUS_VIEW: Final = r"""
:status_view
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "SerialNumber=%S%" -out "RequestID,SerialNumber,Request.Disposition,Request.RevokedReason,CertificateHash" >> "%VIEW%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" exit /b 0
>>"%LOG%" echo @@CR view %N% %SERIAL% %RC%
echo %N% %SERIAL% was not written to %VIEW%: %RC%
set /a STOPPED=STOPPED+1
exit /b 0
"""

ITEMS: Final = r"""
:items
@ITEMS@
exit /b 0
"""

PREPARE: Final = (PROLOGUE, PREPARE_MAIN, ALONE, START, PREPARE_ITEMS, FINISH, REFUSED, ENDINGS, DOUBT)
REVOKE: Final = (
    *(PROLOGUE, REVOKE_MAIN, ALONE, START, REVOKE_PHASES, FINISH, REFUSED),
    *(ITEM, REVOKE_ITEM, STATUS_VIEW, ENDINGS, QUESTIONS, DOUBT, ITEMS),
)
UNDO: Final = (
    *(PROLOGUE, UNDO_MAIN, ALONE, START, UNDO_PHASES, FINISH, REFUSED),
    *(ITEM, UNDO_ITEM, STATUS_VIEW, ENDINGS, QUESTIONS, DOUBT, ITEMS),
)
