"""What the batches share: their beginning, their checks, their questions to the CA, and how they end.

Fixed text in the grammar of ``grammar.py``; ``scripts.py`` makes the batches of it. How a batch decides, and why so:

* *State is asked, never read.* certutil's words are translated, so each question is a
  restriction (serial number, disposition, reason) and the answer is the first value that the
  row dump shows: the hash of the row (or, where the plan has none, its serial number), compared
  as a whole with its quotes. A schema line that begins with the invariant name of the column
  shows that the question was answered; no row is ``Maximum Row Index: 0`` in any language.
  All else, also an answer of another form, is a failure, never "absent".
* *cmd.exe reads the answers itself.* ``for /f`` puts a line's value in when all has been
  parsed, so nothing in it is a command; quotes become apostrophes before it is compared. No
  program but certutil is started for a certificate.
* *Only what the CA says decides.* No file remembers how far an earlier run came. A row
  that is as planned is skipped, so a run can be repeated after any interruption.
* *A call that was not made has not succeeded.* cmd.exe does not start a command whose output
  file cannot be opened (a scanner, a backup or a second window holds it), and leaves
  ERRORLEVEL as the command before left it. So ``:doubt`` sets it to 1 before each call of
  certutil: an older answer is never read as the answer to this question. And a variable of
  the session that is named ERRORLEVEL would hide the real one: it is removed.

Assumed of real CAs, in the lack of a machine to try: ``Maximum Row Index: 0`` keeps its colon in
every language; an imported row has its CertificateHash; ``Disposition`` is understood without
its table's name, and one column may be restricted twice; whoami names S-1-5-32-544 in a filtered
token; the key HKLM\\Cluster is there on nodes of a cluster only, and everybody may ask for it.
"""

# ruff: noqa: E501 - a statement of a batch is one line

from __future__ import annotations

from typing import Final

# The files begin alike; @NAME@ is replaced by checked values (bundle.py).
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
set "REG=%SystemRoot%\System32\reg.exe"
set "OUT=work\answer.txt"
set "BACKED=backup\DataBase\certbkxp.dat"
set "BEGUN=work\backup-begun.txt"
set "ABORT="
set "ENOUGH="
set "REFUSED="
set "KEYED="
set "NOBACKUP="
set "MANY="
set "UNREAD="
set "UNLISTED="
set "OPTION=unknown"
set "PHASE="
set "PREFIX="
set "RC=0"
set "FAILS=0"
set "DONE=0"
set "SKIPPED=0"
set "STOPPED=0"
set "LEFT=0"
"""

# Before anything is written: this is the folder of the bundle (cd fails on a UNC path, and an
# elevated prompt stands in System32), and this file is whole: one that was cut off on its way has
# fewer certificates, and would say that all is well. Then one run at a time: the file of the redirection is
# open for as long as :start runs, nobody else can open it for writing meanwhile, and it is
# free again however the run ends. What it gathers is what Windows itself says of files.
ALONE: Final = r"""
:alone
set "WHY=bundle"
if not exist "manifest.json" goto :unlogged
"%FIND%" "%PLAN%" "manifest.json" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
set "WHY=cut"
set "WHOLE="
call :whole
if not defined WHOLE goto :unlogged
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

# :unasked is :doubt for a program that says 1 itself where it has found nothing.
DOUBT: Final = r"""
:doubt
exit /b 1

:unasked
exit /b 9
"""

# Opens the log, then makes the checks that every phase needs. The folder can be written. The
# session is elevated: an administrator's token is filtered else, and the key is out of reach;
# who is no administrator of this server (inferred: a certificate manager or CA administrator
# with just that right) cannot be elevated and goes on. This server is the one that the
# configuration string names, and no node of a cluster. And this is the CA of the plan: its
# certificate is compared byte by byte with the bundle's and its hash with the plan's (ca.cer
# may have been changed with the CA; and fc.exe of Wine 8 finds everything equal). That it could
# not be compared is not that it is another.
START: Final = r"""
:start
set "ALONE=1"
set "LOG=logs\carecover-%PREFIX%%PHASE%.log"
set "VIEW=out\%PREFIX%view.txt"
set "WHY=folder"
>>"%LOG%" echo @@CR plan %PLAN%
>>"%LOG%" echo @@CR phase %PHASE% %OPTION%
@HEAD@
"%FIND%" "@@CR plan %PLAN%" "%LOG%" >nul
if not "%ERRORLEVEL%"=="0" goto :unlogged
call :doubt
"%WHOAMI%" /groups > "%OUT%" 2>&1
if not "%ERRORLEVEL%"=="0" goto :refused
set "WHY=elevation"
"%FIND%" "S-1-16-12288" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :elevated
"%FIND%" "S-1-16-16384" "%OUT%" >nul
if "%ERRORLEVEL%"=="0" goto :elevated
if defined KEYED goto :refused
"%FIND%" "S-1-16-8192" "%OUT%" >nul
if not "%ERRORLEVEL%"=="0" goto :refused
"%FIND%" "S-1-5-32-544" "%OUT%" >nul
if not "%ERRORLEVEL%"=="1" goto :refused
>>"%LOG%" echo @@CR hint not-elevated
echo HINT: not elevated, and this account is no administrator of this server. With the right of this step on the CA that is enough.
:elevated
set "WHY=host"
if not defined CAHOST goto :right_host
if /i not "%COMPUTERNAME%"=="%CAHOST%" goto :refused
:right_host
set "WHY=registry"
call :unasked
"%REG%" query "HKLM\Cluster" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR check cluster %RC%
if "%RC%"=="0" set "WHY=cluster"
if not "%RC%"=="1" goto :refused
set "WHY=ca-answer"
if exist "work\ca.cer" del "work\ca.cer"
if exist "work\ca.cer" goto :refused
call :doubt
"%CERTUTIL%" @CONFIG@-ca.cert "work\ca.cer" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR check ca-cert %RC%
call :trouble
if not "%RC%"=="0" goto :refused
if not exist "work\ca.cer" goto :refused
set "WHY=ca"
call :unasked
"%FC%" /b "work\ca.cer" "ca.cer" >nul
set "RC=%ERRORLEVEL%"
if "%RC%"=="1" goto :refused
set "WHY=ca-compare"
if not "%RC%"=="0" goto :refused
set "FILE=work\ca.cer"
set "SHA=%CASHA%"
set "SPACED=%CASPACED%"
call :hash
if "%ANSWER%"=="failed" goto :refused
set "WHY=ca"
if not "%ANSWER%"=="same" goto :refused
"""

# A backup of the database as it was: whatever is imported or revoked wrongly can be looked up there.
GATE: Final = r"""
set "WHY=backup-missing"
if defined NOBACKUP goto :ungated
if not exist "%BACKED%" goto :refused
if exist "%BEGUN%" goto :refused
>>"%LOG%" echo @@CR backup whole
goto :gated
:ungated
>>"%LOG%" echo @@CR backup none
:gated
"""

REFUSED: Final = r"""
:refused
>>"%LOG%" echo @@CR refused %WHY%
>>"%LOG%" echo @@CR end 3
:unlogged
if "%WHY%"=="bundle" echo REFUSED: this is not the folder of the bundle, or its files are not of one bundle. Copy the whole folder to a local disk and run it there.
if "%WHY%"=="cut" echo REFUSED: this file is not whole: it was cut off on its way. Copy the whole folder again.
if "%WHY%"=="bits" echo REFUSED: this is a 32-bit command prompt. Open the command prompt of Windows itself, with Run as administrator.
if "%WHY%"=="busy" echo REFUSED: this bundle is running already in another window, or this folder cannot be written. Wait for the other run to end, or copy the whole folder to a local disk.
if "%WHY%"=="folder" echo REFUSED: the folders logs and work cannot be written. Is the disk full, or a file open elsewhere? What Windows said is in work/errors.txt.
if "%WHY%"=="elevation" echo REFUSED: not elevated. Open the command prompt with Run as administrator.
if "%WHY%"=="host" echo REFUSED: this server is not %CAHOST%, which the configuration string of the case names. Run this on the CA itself, under its own name: the name of a cluster is none.
if "%WHY%"=="registry" echo REFUSED: whether this server is a node of a cluster could not be found out. What Windows said is in work/answer.txt and work/errors.txt.
if "%WHY%"=="cluster" echo REFUSED: this server is a node of a failover cluster. These scripts are not made for one: take the plan to somebody who knows this cluster.
if "%WHY%"=="ca-answer" echo REFUSED: the CA did not hand out its certificate. Is the service running, and may this account ask it?
if "%WHY%"=="ca-compare" echo REFUSED: the CA's certificate could not be compared with ca.cer. What Windows said is in work/answer.txt and work/errors.txt.
if "%WHY%"=="ca" echo REFUSED: this is another CA, or its certificate was renewed. It is not the one in ca.cer.
if "%WHY%"=="ping" echo REFUSED: the CA does not answer certutil -ping. Is the service running, and may this account ask it?
if "%WHY%"=="database" echo REFUSED: the database did not answer. Is the service running, and may this account read it?
if "%WHY%"=="baseline" echo REFUSED: the newest request of the baseline is not in this database. Is it the restored one?
if "%WHY%"=="issued" echo REFUSED: the CA has issued since the baseline was exported, or a certificate was imported by hand. Nothing was changed. Stop issuing; what to do is in README.txt.
if "%WHY%"=="uncounted" echo REFUSED: the new rows of the database could not be accounted for. Nothing was changed. What to do is in README.txt.
if "%WHY%"=="files" echo REFUSED: a certificate file of this bundle is missing or was changed. Write the bundle again.
if "%WHY%"=="backup-missing" echo REFUSED: there is no whole backup of the database in the folder backup. Call revoke.cmd backup first, or add the word NOBACKUP where you have one elsewhere.
if "%WHY%"=="backup-there" echo REFUSED: there is a folder backup already, and it is not whole. Move it away, then call revoke.cmd backup again.
if "%WHY%"=="missing" echo REFUSED: %LEFT% planned revocations are missing from the database. Apply first, or publish PARTIAL.
if "%WHY%"=="rounds" echo REFUSED: the number of the CRL is more than %MOST% below the last public one. If that is so, add the word MANY: a new CRL is made for each number.
if "%WHY%"=="too-many-rounds" echo REFUSED: the number of the CRL is more than %MOST% below the last public one. Is that number right, and this the right CA? Nothing was published.
if "%WHY%"=="number" echo REFUSED: the plan put nothing on hold under that number.
call :advise
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
call :advise
>>"%LOG%" echo @@CR end %RESULT% done=%DONE% skipped=%SKIPPED% stopped=%STOPPED% left=%LEFT%
echo %PHASE%: %DONE% done, %SKIPPED% were so already, %STOPPED% stopped, %LEFT% left.
if not "%RESULT%"=="0" echo What certutil said is in %LOG%.
exit /b %RESULT%
"""

# :trouble knows the failures that are not about one certificate by the code that certutil left;
# the run ends after the step that met one. :advise says what to do, at the end or with a refusal.
TROUBLE: Final = r"""
:trouble
if "%RC%"=="-2147023174" set "ABORT=rpc-unavailable"
if "%RC%"=="-2147024891" set "ABORT=access-denied"
if "%RC%"=="-2146877425" set "ABORT=too-many-sessions"
if "%RC%"=="-2147024784" set "ABORT=disk-full"
if "%RC%"=="-1073741819" set "ABORT=certutil-crash"
exit /b 0

:advise
if "%ABORT%"=="rpc-unavailable" echo ADVICE: the service does not answer. See that Active Directory Certificate Services runs and that its database is mounted.
if "%ABORT%"=="access-denied" echo ADVICE: this account lacks the right of this step, or has one too many where role separation is on. The right is given in certsrv.msc.
if "%ABORT%"=="too-many-sessions" echo ADVICE: too many sessions of the database are open. Close certsrv.msc and other consoles of this CA, wait ten minutes, then call the same again.
if "%ABORT%"=="disk-full" echo ADVICE: the disk is full. Make room on the disk of the database and its logs and on this one; delete no file of the database.
if "%ABORT%"=="certutil-crash" echo ADVICE: certutil crashed. Windows Server 2008 R2 is known to do so at -crl: look at the CRL that was saved, and at the article that README.txt names.
if "%ABORT%"=="crl-ldap" echo ADVICE: a place of publication in the directory was not reached. The CRL itself is written all the same: look at it in out, and at event 74.
if "%ABORT%"=="crl" echo ADVICE: the CRL may be written all the same, and one place of publication be out of reach: look at it in out, and at events 65, 74 and 75.
if "%ABORT%"=="backup" echo ADVICE: the database was not backed up. See that the account may back it up and that there is room; move the folder backup away before you try again.
if "%ABORT%"=="file-changed" echo ADVICE: a certificate file of this bundle was changed, and nothing was imported from it. Find out who did, and write the bundle again.
if "%ABORT%"=="file-missing" echo ADVICE: a certificate file of this bundle is missing. Copy the whole bundle again.
exit /b 0
"""

# Whether a file is the one of the plan: by its SHA-256, which older certutil prints in pairs with blanks.
HASH: Final = r"""
:hash
set "ANSWER=failed"
call :doubt
"%CERTUTIL%" -hashfile "%FILE%" SHA256 > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :trouble
set "ANSWER=changed"
for /f "usebackq delims=" %%a in ("%OUT%") do if /i "%%a"=="%SHA%" set "ANSWER=same"
for /f "usebackq delims=" %%a in ("%OUT%") do if /i "%%a"=="%SPACED%" set "ANSWER=same"
for /f "usebackq delims=" %%a in ("%OUT%") do if /i "%%a"=="%SPACED% " set "ANSWER=same"
exit /b 0
"""

# cmd.exe looks for a label from where it stands to the end of the file, and only then from its
# beginning: what is called stands below its callers, so the items are not read each time.
# :state sets STATE: failed, absent, other, good, planned, held, different, odd. A certificate
# that the plan may import is looked for first; a row that must be there is asked for its state
# at once, and looked for only where no state fits.
# :look asks for the row in both spellings that a high serial number may have.
# :ask "restriction" sets ANSWER to present, other (another hash), absent or failed.
# :listen sets V to the first value of the answer, without it where the question was not answered.
QUESTIONS: Final = r"""
:state
set "LOOKED="
if defined FILE goto :state_look
if not defined PAD goto :state_good
:state_look
set "LOOKED=1"
call :look
set "STATE=%ANSWER%"
if not "%ANSWER%"=="present" exit /b 0
:state_good
call :ask ",Disposition=20"
set "STATE=good"
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
if not "%ANSWER%"=="absent" exit /b 0
if not defined REASON goto :state_held
call :ask ",Disposition=21,Request.RevokedReason=%REASON%"
set "STATE=planned"
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
if not "%ANSWER%"=="absent" exit /b 0
:state_held
call :ask ",Disposition=21,Request.RevokedReason=6"
set "STATE=held"
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
if not "%ANSWER%"=="absent" exit /b 0
call :ask ",Disposition=21"
set "STATE=different"
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
if not "%ANSWER%"=="absent" exit /b 0
set "STATE=odd"
if defined LOOKED exit /b 0
call :look
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
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
set "ANSWER=failed"
set "COLUMN=SerialNumber"
set "WANT=%S%"
if defined H set "COLUMN=CertificateHash"
if defined H set "WANT=%H%"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "SerialNumber=%S%%~1" -out "%COLUMN%" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if not "%RC%"=="0" goto :trouble
call :listen
if not defined V exit /b 0
if "%V:~0,2%"==" '" set "ANSWER=other"
if not defined H set "ANSWER=failed"
if "%V%"==" 0" set "ANSWER=absent"
if /i "%V%"==" '%WANT%'" set "ANSWER=present"
exit /b 0

:listen
set "HEARD="
set "V="
for /f "usebackq" %%a in ("%OUT%") do if "%%a"=="%COLUMN%" set "HEARD=1"
for /f "usebackq tokens=2 delims=:" %%b in ("%OUT%") do if not defined V set "V=%%b"
if not defined HEARD set "V="
if not defined V exit /b 0
set "V=%V:"='%"
exit /b 0
"""

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

# The rows as they are, for carecover verify: in both files, so that each can be judged by itself.
# NotAfter shows a dummy that ends before its certificate: in GMT, for the server's zone is not known.
STATUS_VIEW: Final = r"""
:status_view
call :doubt
"%CERTUTIL%" @CONFIG@-gmt -view -restrict "SerialNumber=%S%" -out "RequestID,SerialNumber,Request.Disposition,Request.RevokedReason,CertificateHash,NotAfter" >> "%VIEW%" 2>&1
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

# The last lines of every batch, for which :alone asks. A call of a label that is not there is an
# error that stops nothing.
WHOLE: Final = r"""
:whole
set "WHOLE=1"
exit /b 0
"""
