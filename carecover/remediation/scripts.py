"""The batches: prepare.cmd, revoke.cmd and undo.cmd, joined from their own text and ``subroutines.py``.

How the batch decides is told in ``subroutines.py``. Here is what each phase does with the answers.

*Nothing issued since the baseline.* A new certificate is a row above the baseline's
newest request ID. Imports make such rows too, so where there is one, the rows are counted
by request ID and the planned certificates that were imported are counted by serial number
and hash; both counts agree only where every new row is one of ours. Rows without a
certificate (pending, failed, denied) do not count.

*Calls of certutil*, for one certificate that the CA does not know (high: with its top bit set):

    revoke, from a file    look (high: +1), hashfile, importcert, view (good?), revoke, view (as planned?)     6 (7)
    restore, from a file   look (high: +1), hashfile, importcert, view (good?)                                 4 (5)
    revoke, a row          view (good?) (high: look before), revoke, view (as planned?)                        3 (4)
    restore, a row         view (good?) (high: look before)                                                    1 (2)
    take off hold          view (held?), revoke -1, view (good?)                                               3
    as planned already     from a file: look, good?, planned?   a row: good?, planned?   (high: +1)            3, 2
    at publish, status     view (as planned?); status writes the row down with one call more                   1, 2

None is left out without leaving a question to the CA unasked: what is imported is looked for
before (a second row of a serial number may be possible) and after, what is revoked is looked at
before (a second revocation overwrites date and reason) and after. No other program is started
for a certificate; whoami, reg, fc and find a few times in a run. Once in a run: 4 calls;
where certificates were imported before, two for each of them.

Assumed of real CAs, in the lack of a machine to try: a row revoked without a reason has
RevokedReason 0; -ca.cert writes the newest CA certificate in DER; -getcrl takes the index of a
CA certificate; -view CRL knows the column CRLNumber and prints numbers as 0x...; each -crl
raises that number by one; -Cert before -sign keeps the dialog away; -dump prints a CRL's serial
numbers as one capture shows; -getreg prints DWORDs as captures show. Where one of these is
wrong, a batch stops or says that it does not know. DataBase\\certbkxp.dat in a backup: certsrv.h
(wszDBBACKUPCERTBACKDAT) and Microsoft's pages on moving a CA.

The module is long because three batches are.
"""

# ruff: noqa: E501 - a statement of a batch is one line

from __future__ import annotations

from typing import Final

from carecover.remediation.subroutines import (
    ALONE,
    DOUBT,
    ENDINGS,
    FINISH,
    GATE,
    HASH,
    ITEM,
    ITEMS,
    PROLOGUE,
    QUESTIONS,
    REFUSED,
    START,
    STATUS_VIEW,
    TROUBLE,
    WHOLE,
)

# --------------------------------------------------------------------------- prepare.cmd

PREPARE_MAIN: Final = r"""
if /i "%~1"=="GO" set "OPTION=go"
if /i "%~1"=="FIRST" set "OPTION=first"
if "%OPTION%"=="unknown" goto :usage
if not "%~2"=="" goto :usage
set "PHASE=prepare"
set "KEYED=1"
goto :alone

:usage
echo prepare.cmd FIRST signs one dummy certificate and stops. Stay at the screen: a dialog may open.
echo prepare.cmd GO signs all that are not there yet.
echo It uses the key of the CA and changes nothing in its database.
exit /b 2
"""

# -sign takes a serial number or a file (certutil's help): which of the two where a file is named
# like the serial number is not known, and it would be signed unseen. So nothing may be.
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
set "WHY=serial-file"
if exist "%SERIAL%" goto :item_stopped
set "DID=1"
call :doubt
"%CERTUTIL%" -Cert %SIGNER% -sign %SERIAL% "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR %N% %SERIAL% sign %RC%
call :trouble
set "WHY=sign"
if not "%RC%"=="0" goto :item_failed
if not exist "%FILE%" goto :item_failed
goto :item_done
"""

# ---------------------------------------------------------------------------- revoke.cmd

REVOKE_MAIN: Final = r"""
if /i "%~1"=="preflight" set "PHASE=preflight"
if /i "%~1"=="backup" set "PHASE=backup"
if /i "%~1"=="apply" set "PHASE=apply"
if /i "%~1"=="publish" set "PHASE=publish"
if /i "%~1"=="status" set "PHASE=status"
if not defined PHASE goto :usage
if "%~2"=="" set "OPTION=none"
if /i "%PHASE% %~2"=="apply FIRST" set "OPTION=first"
if /i "%PHASE% %~2"=="apply NOBACKUP" set "OPTION=none"
if /i "%PHASE% %~2"=="apply NOBACKUP" set "NOBACKUP=1"
if /i "%PHASE% %~2 %~3"=="apply FIRST NOBACKUP" set "NOBACKUP=1"
if /i "%PHASE% %~2"=="publish PARTIAL" set "OPTION=partial"
if /i "%PHASE% %~2"=="publish MANY" set "OPTION=none"
if /i "%PHASE% %~2"=="publish MANY" set "MANY=1"
if /i "%PHASE% %~2 %~3"=="publish PARTIAL MANY" set "MANY=1"
if "%OPTION%"=="unknown" goto :usage
if not "%~4"=="" goto :usage
if "%~3"=="" goto :alone
if /i "%PHASE% %~2 %~3"=="apply FIRST NOBACKUP" goto :alone
if /i "%PHASE% %~2 %~3"=="publish PARTIAL MANY" goto :alone

:usage
echo revoke.cmd preflight                 checks everything and changes nothing
echo revoke.cmd backup                    backs up the database of the CA into the folder backup
echo revoke.cmd apply [FIRST] [NOBACKUP]  imports and revokes as planned; FIRST changes one certificate and stops;
echo                                      NOBACKUP where the folder backup holds no backup, and you know why
echo revoke.cmd publish [PARTIAL] [MANY]  writes new CRLs; PARTIAL even where a planned revocation is missing;
echo                                      MANY where the number of the CRL is far below the last public one
echo revoke.cmd status                    shows what is as planned and changes nothing
echo Without one of these words nothing is done.
exit /b 2
"""

REVOKE_PHASES: Final = r"""
if "%PHASE%"=="publish" goto :publish
if "%PHASE%"=="status" goto :status
if "%PHASE%"=="backup" goto :backup
if "%PHASE%"=="apply" goto :apply
set "WHY=ping"
call :doubt
"%CERTUTIL%" @CONFIG@-ping > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR check ping %RC%
call :trouble
if not "%RC%"=="0" goto :refused
set "DO=files"
call :items
set "WHY=files"
if defined REFUSED goto :refused
call :database
if defined REFUSED goto :refused
call :hints
>>"%LOG%" echo @@CR calls @CALLS@
echo The plan takes about @CALLS@ calls of certutil: about @MINUTES@ minutes, at half a second each, which is assumed.
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0

:apply
@GATE@
call :database
if defined REFUSED goto :refused
>>"%LOG%" echo @@CR calls @CALLS@
echo apply takes about @CALLS@ calls of certutil: about @MINUTES@ minutes, at half a second each, which is assumed.
set "DO=apply"
call :items
goto :finish

:status
if exist "%VIEW%" del "%VIEW%"
set "DO=status"
call :items
goto :finish

:backup
set "WHY=backup-there"
if not exist "backup" goto :back_up
if not exist "%BACKED%" goto :refused
if exist "%BEGUN%" goto :refused
goto :backed_up
:back_up
>>"%BEGUN%" echo the backup has begun and has not ended
call :doubt
"%CERTUTIL%" @CONFIG@-backupDB "backup" KeepLog >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR backup-db %RC%
if not "%RC%"=="0" set "ABORT=backup"
if not exist "%BACKED%" set "ABORT=backup"
call :trouble
if defined ABORT goto :finish
del "%BEGUN%"
:backed_up
>>"%LOG%" echo @@CR backup whole
echo The database as it is now is in the folder backup. Copy that folder to another disk.
goto :finish

:publish
set "DO=missing"
call :items
if defined ABORT goto :finish
set "WHY=missing"
if "%LEFT%"=="0" goto :count
if not "%OPTION%"=="partial" goto :refused

:count
set "ROUND=0"
set "ROUNDS=1"
set "NUMBER=none"
if not defined LASTCRL goto :crl
set "MOST=@MAX_CRL_ROUNDS@"
set "WHY=rounds"
if not defined MANY goto :count_from
set "MOST=@MANY_CRL_ROUNDS@"
set "WHY=too-many-rounds"
:count_from
set "ROUNDS=0"
:count_one
if %ROUNDS% GEQ %MOST% goto :refused
set /a ROUNDS=ROUNDS+1
set /a FROM=LASTCRL-ROUNDS
if %FROM% LSS 0 goto :counted
call :crl_above
if defined ABORT goto :finish
if "%ANSWER%"=="absent" goto :count_one
if "%ANSWER%"=="failed" set "ROUNDS=1"
:counted
>>"%LOG%" echo @@CR rounds %ROUNDS%
echo publish: new CRLs until their number passes the last public one: %ROUNDS%.

:crl
set /a ROUND=ROUND+1
call :doubt
"%CERTUTIL%" @CONFIG@-crl >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR crl %ROUND% %RC%
if not "%RC%"=="0" echo FAILED: certutil -crl %RC%. See the log.
if not "%RC%"=="0" set "ABORT=crl"
if "%RC%"=="-2147016563" set "ABORT=crl-ldap"
call :trouble
if not defined LASTCRL goto :crl_save
if not "%RC%"=="0" goto :crl_save
set /a FROM=LASTCRL
call :crl_above
set "NUMBER=unknown"
if "%ANSWER%"=="present" set "NUMBER=passed"
if "%ANSWER%"=="absent" set "NUMBER=behind"
:crl_save
@SAVES@
if defined UNLISTED goto :looked_through
if not defined UNREAD call :look_through
:looked_through
if defined ABORT goto :crl_end
if not "%NUMBER%"=="behind" goto :crl_end
if %ROUND% LSS %ROUNDS% goto :crl
:crl_end
>>"%LOG%" echo @@CR crl-number %NUMBER%
if "%NUMBER%"=="behind" echo The number of the CRL is still not above the last public one. Call publish again.
if "%NUMBER%"=="unknown" echo Whether the number of the CRL is above the last public one is not known. Hand the CRL to carecover verify.
if "%NUMBER%"=="behind" set /a STOPPED=STOPPED+1
if "%NUMBER%"=="unknown" set /a STOPPED=STOPPED+1
if defined UNLISTED echo Not all that was planned is in the new CRL. An expired certificate may be left out; nothing else. Call status, then carecover verify with the CRL in out.
goto :finish

:save
set "FILE=out\crl-%~1.crl"
if exist "%FILE%" del "%FILE%"
call :doubt
"%CERTUTIL%" @CONFIG@-getcrl "%FILE%" %~1 >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR getcrl %~1 %RC%
if not "%RC%"=="0" goto :unsaved
if not exist "%FILE%" goto :unsaved
set "DUMP=work\crl-%~1.txt"
call :doubt
"%CERTUTIL%" -dump "%FILE%" > "%DUMP%" 2>&1
set "RC=%ERRORLEVEL%"
>>"%LOG%" echo @@CR dump %~1 %RC%
if "%RC%"=="0" exit /b 0
echo The CRL was saved and could not be looked through: certutil -dump %RC%. Hand it to carecover verify.
goto :unread
:unsaved
echo The CRL was not saved: certutil -getcrl %RC%. Copy it from the CA by hand.
:unread
if not defined UNREAD set /a STOPPED=STOPPED+1
set "UNREAD=1"
exit /b 0

:look_through
call :expected
@SWEEPS@
goto :listed

:sweep
set "DUMP=work\crl-%~1.txt"
for /f "usebackq tokens=2 delims=:" %%b in ("%DUMP%") do set "SEEK%%b="
exit /b 0

:hints
set "NAME=RoleSeparationEnabled"
set "KEY=CA\RoleSeparationEnabled"
call :registry
if "%KIND%"=="unknown" >>"%LOG%" echo @@CR hint role-separation unknown
if "%KIND%"=="unknown" echo HINT: whether role separation is on could not be read.
if "%HEX%"=="1" >>"%LOG%" echo @@CR hint role-separation
if "%HEX%"=="1" echo HINT: role separation is on. Who may apply may not publish: two accounts, each with one right only.
set "NAME=OfficerRights"
set "KEY=CA\OfficerRights"
call :registry
if "%KIND%"=="unknown" >>"%LOG%" echo @@CR hint officer-restrictions unknown
if "%KIND%"=="unknown" echo HINT: whether certificate managers are restricted could not be read.
if "%KIND%"=="there" >>"%LOG%" echo @@CR hint officer-restrictions
if "%KIND%"=="there" echo HINT: certificate managers are restricted to groups or templates. Apply may be denied for some certificates.
set "NAME=HighSerial"
set "KEY=CA\HighSerial"
call :registry
if "%KIND%"=="unknown" >>"%LOG%" echo @@CR hint high-serial unknown
if "%KIND%"=="unknown" echo HINT: the form of HighSerial could not be read.
if "%TYPE%"=="REG_SZ" >>"%LOG%" echo @@CR hint high-serial string
if "%TYPE%"=="REG_SZ" echo HINT: HighSerial is a string. A restored CA gives whole serial numbers a second time then: keep it from issuing.
set "NAME=EventFilter"
set "KEY=exit\smtp\EventFilter"
call :registry
if "%KIND%"=="none" exit /b 0
if not defined DECIMAL set "DECIMAL=%HEX%"
if not defined DECIMAL goto :mails_unknown
for /f "delims=0123456789" %%a in ("%DECIMAL%") do goto :mails_unknown
if %DECIMAL% GEQ 1024 goto :mails_unknown
set "MAILS=0"
set "CRLMAILS="
set /a BITS=DECIMAL
if %BITS% GEQ 512 set /a MAILS=MAILS+@IMPORTS@
if %BITS% GEQ 512 set /a BITS=BITS-512
if %BITS% GEQ 256 set /a BITS=BITS-256
if %BITS% GEQ 128 set /a BITS=BITS-128
if %BITS% GEQ 64 set /a BITS=BITS-64
if %BITS% GEQ 32 set "CRLMAILS=1"
if %BITS% GEQ 32 set /a BITS=BITS-32
if %BITS% GEQ 16 set /a BITS=BITS-16
if %BITS% GEQ 8 set /a MAILS=MAILS+@REVOKES@
>>"%LOG%" echo @@CR hint mails %MAILS%
if not "%MAILS%"=="0" echo HINT: the SMTP exit module will send up to %MAILS% mails for this plan. Tell those who get them; nothing is switched off.
if defined CRLMAILS >>"%LOG%" echo @@CR hint crl-mails
if defined CRLMAILS echo HINT: the SMTP exit module will send a mail for each new CRL.
exit /b 0
:mails_unknown
>>"%LOG%" echo @@CR hint mails unknown
echo HINT: how many mails the SMTP exit module will send could not be read.
exit /b 0

:registry
set "KIND=unknown"
set "TYPE="
set "HEX="
set "DECIMAL="
call :doubt
"%CERTUTIL%" -getreg "%KEY%" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="-2147024894" set "KIND=none"
if not "%RC%"=="0" exit /b 0
for /f "usebackq tokens=1-2" %%a in ("%OUT%") do if /i "%%a"=="%NAME%" set "TYPE=%%b"
if defined TYPE set "KIND=there"
for /f "usebackq tokens=1-4 delims=()= " %%a in ("%OUT%") do if /i "%%a %%b"=="%NAME% REG_DWORD" set "HEX=%%c"
for /f "usebackq tokens=1-4 delims=()= " %%a in ("%OUT%") do if /i "%%a %%b"=="%NAME% REG_DWORD" set "DECIMAL=%%d"
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

:crl_above
set "ANSWER=failed"
set "COLUMN=CRLNumber"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "CRLNumber>%FROM%" -out "%COLUMN%" CRL > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
goto :number

:rows
set "ANSWER=failed"
set "COLUMN=RequestID"
call :doubt
"%CERTUTIL%" @CONFIG@-view -restrict "%~1" -out "%COLUMN%" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
:number
if not "%RC%"=="0" goto :trouble
call :listen
if not defined V exit /b 0
if "%V%"==" 0" set "ANSWER=absent"
if "%V:~0,3%"==" 0x" set "ANSWER=present"
exit /b 0
""".replace("@GATE@", GATE.strip("\n"))

REVOKE_ITEM: Final = r"""
if "%DO%"=="files" goto :files_item
if "%DO%"=="own" goto :own_item
if "%DO%"=="apply" goto :apply_item
if "%DO%"=="status" goto :status_item
if not "%ACTION%"=="revoke" exit /b 0
if defined ABORT exit /b 0
set "LEFT %SERIAL%="
call :as_planned
if "%STATE%"=="planned" exit /b 0
set "LEFT %SERIAL%=left"
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
call :ask ",RequestID>%NEWEST%"
if not "%ANSWER%"=="absent" goto :own_counted
if not defined PAD exit /b 0
set "S=%PAD%%SERIAL%"
call :ask ",RequestID>%NEWEST%"
:own_counted
if "%ANSWER%"=="failed" set "REFUSED=1"
if "%ANSWER%"=="present" set /a OWN=OWN+1
exit /b 0

:status_item
if defined ABORT goto :item_left
call :as_planned
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
if not "%ANSWER%"=="same" set "ABORT=%WHY%"
if not "%ANSWER%"=="same" goto :item_failed
call :doubt
"%CERTUTIL%" @CONFIG@-importcert "%FILE%" >> "%LOG%" 2>&1
set "RC=%ERRORLEVEL%"
set "RAN=%RC%"
>>"%LOG%" echo @@CR %N% %SERIAL% import %RC%
call :trouble
set "DID=1"
if not "%RC%"=="0" goto :imported_not
set "STATE=good"
call :ask ",Disposition=20"
if "%ANSWER%"=="present" goto :known
set "STATE=%ANSWER%"
if not "%ANSWER%"=="absent" goto :known
if not defined PAD goto :imported_not
set "STATE=good"
set "S=%PAD%%SERIAL%"
call :ask ",Disposition=20"
if "%ANSWER%"=="present" goto :known
set "S=%SERIAL%"
:imported_not
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
call :trouble
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

:as_planned
set "STATE=planned"
set "MORE=,Disposition=21,Request.RevokedReason=%REASON%"
if "%ACTION%"=="restore" set "STATE=good"
if "%ACTION%"=="restore" set "MORE=,Disposition=20"
call :ask "%MORE%"
if "%ANSWER%"=="present" exit /b 0
set "STATE=%ANSWER%"
if "%ANSWER%"=="absent" goto :state
exit /b 0

:check_file
set "ANSWER=missing"
if exist "%FILE%" goto :hash
exit /b 0
"""

# A CRL that was written is looked through for what must stand in it, without a question to the
# CA: names of variables are made of the serial numbers, and taken away again by the lines of the
# dump that hold one. It is an early warning: -dump is text, one capture shows its form, and a
# serial number in the CRL of another key counts as well. The proof is carecover verify.
SEEKING: Final = r"""
:expected
@EXPECTED@
exit /b 0

:listed
@LISTED@
exit /b 0

:unlisted
set "UNLISTED=1"
set /a STOPPED=STOPPED+1
>>"%LOG%" echo @@CR unlisted %~1 %~2
echo %~1 %~2 is not in the new CRL.
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
if not "%~4"=="" goto :usage
if "%PHASE%"=="hold" goto :which_hold
if "%~2"=="" set "OPTION=none"
if /i "%PHASE% %~2"=="apply FIRST" set "OPTION=first"
if /i "%PHASE% %~2"=="apply NOBACKUP" set "OPTION=none"
if /i "%PHASE% %~2"=="apply NOBACKUP" set "NOBACKUP=1"
if /i "%PHASE% %~2 %~3"=="apply FIRST NOBACKUP" set "NOBACKUP=1"
if "%OPTION%"=="unknown" goto :usage
if "%~3"=="" goto :alone
if /i "%PHASE% %~2 %~3"=="apply FIRST NOBACKUP" goto :alone
goto :usage
:which_hold
if "%~2"=="" goto :usage
for /f "delims=0123456789" %%a in ("%~2") do goto :usage
set "WANTED=%~2"
set "TAKE=release"
set "OPTION=one"
if "%~3"=="" goto :alone
set "NOBACKUP=1"
if /i "%~3"=="NOBACKUP" goto :alone

:usage
echo undo.cmd preflight                 checks everything and changes nothing
echo undo.cmd apply [FIRST] [NOBACKUP]  takes off hold what the plan wants off hold; FIRST changes one and stops
echo undo.cmd hold NUMBER [NOBACKUP]    takes off hold again what this plan put on hold under that number
echo undo.cmd status                    shows what is as planned and changes nothing
echo Without one of these words nothing is done. Call revoke.cmd publish afterwards.
exit /b 2
"""

UNDO_PHASES: Final = r"""
if "%PHASE%"=="preflight" goto :checked
if "%PHASE%"=="status" goto :undo_status
@GATE@
call :items
if not "%PHASE%"=="hold" goto :finish
if defined FOUND goto :finish
set "WHY=number"
goto :refused
:undo_status
if exist "%VIEW%" del "%VIEW%"
call :items
goto :finish
:checked
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0
""".replace("@GATE@", GATE.strip("\n"))

UNDO_ITEM: Final = r"""
if not "%ACTION%"=="%TAKE%" exit /b 0
if not defined WANTED goto :wanted
if not "%N%"=="%WANTED%" exit /b 0
:wanted
set "FOUND=1"
if defined ABORT goto :item_left
if defined ENOUGH goto :item_left
if "%PHASE%"=="status" goto :status_item
set "STATE=held"
call :ask ",Disposition=21,Request.RevokedReason=6"
if not "%ANSWER%"=="present" set "STATE=%ANSWER%"
if "%ANSWER%"=="absent" call :state
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
call :trouble
set "DID=1"
call :ask ",Disposition=20"
if "%ANSWER%"=="present" goto :item_done
set "WHY=unrevoke"
if not "%RAN%"=="0" set "RC=%RAN%"
goto :item_failed

:status_item
call :state
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

PREPARE: Final = (
    *(PROLOGUE, PREPARE_MAIN, ALONE, START, PREPARE_ITEMS, FINISH, REFUSED),
    *(ENDINGS, HASH, TROUBLE, DOUBT, WHOLE),
)
REVOKE: Final = (
    *(PROLOGUE, REVOKE_MAIN, ALONE, START, REVOKE_PHASES, FINISH, REFUSED),
    *(ITEM, REVOKE_ITEM, STATUS_VIEW, ENDINGS, HASH, QUESTIONS, TROUBLE, DOUBT, SEEKING, ITEMS, WHOLE),
)
UNDO: Final = (
    *(PROLOGUE, UNDO_MAIN, ALONE, START, UNDO_PHASES, FINISH, REFUSED),
    *(ITEM, UNDO_ITEM, STATUS_VIEW, ENDINGS, HASH, QUESTIONS, TROUBLE, DOUBT, ITEMS, WHOLE),
)
