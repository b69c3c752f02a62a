@echo off
setlocal EnableExtensions DisableDelayedExpansion
rem Written by carecover from a plan that two people signed. Do not edit: write the bundle again.
set "ERRORLEVEL="
cd /d "%~dp0"
set "PLAN=cb78e947b83ae844bd13b1e2454b8631cbf4132ed59b9353e9ccf3484e3322cd"
set "CASHA=0c703d59c1e12776db09aad7feeef992574716969539ca2a8e23770072b232ee"
set "CASPACED=0c 70 3d 59 c1 e1 27 76 db 09 aa d7 fe ee f9 92 57 47 16 96 95 39 ca 2a 8e 23 77 00 72 b2 32 ee"
set "CACONFIG=CA01\Corp Issuing CA (1)"
set "NEWEST=12"
set "LASTCRL=41"
set "CAHOST=CA01"
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

:start
set "ALONE=1"
set "LOG=logs\carecover-%PREFIX%%PHASE%.log"
set "VIEW=out\%PREFIX%view.txt"
set "WHY=folder"
>>"%LOG%" echo @@CR plan %PLAN%
>>"%LOG%" echo @@CR phase %PHASE% %OPTION%
>>"%LOG%" echo @@CR journal-head 0000000000000000000000000000000000000000000000000000000000000000
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
"%CERTUTIL%" -config "%CACONFIG%" -ca.cert "work\ca.cer" > "%OUT%" 2>&1
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

if "%PHASE%"=="publish" goto :publish
if "%PHASE%"=="status" goto :status
if "%PHASE%"=="backup" goto :backup
if "%PHASE%"=="apply" goto :apply
set "WHY=ping"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -ping > "%OUT%" 2>&1
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
>>"%LOG%" echo @@CR calls 27
echo The plan takes about 27 calls of certutil: about 1 minutes, at half a second each, which is assumed.
echo preflight: all is well, nothing was changed.
>>"%LOG%" echo @@CR end 0
exit /b 0

:apply
set "WHY=backup-missing"
if defined NOBACKUP goto :ungated
if not exist "%BACKED%" goto :refused
if exist "%BEGUN%" goto :refused
>>"%LOG%" echo @@CR backup whole
goto :gated
:ungated
>>"%LOG%" echo @@CR backup none
:gated
call :database
if defined REFUSED goto :refused
>>"%LOG%" echo @@CR calls 27
echo apply takes about 27 calls of certutil: about 1 minutes, at half a second each, which is assumed.
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
"%CERTUTIL%" -config "%CACONFIG%" -backupDB "backup" KeepLog >> "%LOG%" 2>&1
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
set "MOST=20"
set "WHY=rounds"
if not defined MANY goto :count_from
set "MOST=200"
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
"%CERTUTIL%" -config "%CACONFIG%" -crl >> "%LOG%" 2>&1
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
call :save "0"
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
"%CERTUTIL%" -config "%CACONFIG%" -getcrl "%FILE%" %~1 >> "%LOG%" 2>&1
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
call :sweep "0"
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
if %BITS% GEQ 512 set /a MAILS=MAILS+3
if %BITS% GEQ 512 set /a BITS=BITS-512
if %BITS% GEQ 256 set /a BITS=BITS-256
if %BITS% GEQ 128 set /a BITS=BITS-128
if %BITS% GEQ 64 set /a BITS=BITS-64
if %BITS% GEQ 32 set "CRLMAILS=1"
if %BITS% GEQ 32 set /a BITS=BITS-32
if %BITS% GEQ 16 set /a BITS=BITS-16
if %BITS% GEQ 8 set /a MAILS=MAILS+4
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
set /a LAST=NEWEST+OWN+OWN+1000
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
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "CRLNumber>%FROM%" -out "%COLUMN%" CRL > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
goto :number

:rows
set "ANSWER=failed"
set "COLUMN=RequestID"
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "%~1" -out "%COLUMN%" > "%OUT%" 2>&1
set "RC=%ERRORLEVEL%"
:number
if not "%RC%"=="0" goto :trouble
call :listen
if not defined V exit /b 0
if "%V%"==" 0" set "ANSWER=absent"
if "%V:~0,3%"==" 0x" set "ANSWER=present"
exit /b 0

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
"%CERTUTIL%" -config "%CACONFIG%" -importcert "%FILE%" >> "%LOG%" 2>&1
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
"%CERTUTIL%" -config "%CACONFIG%" -revoke %S% %REASON% >> "%LOG%" 2>&1
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

:status_view
call :doubt
"%CERTUTIL%" -config "%CACONFIG%" -gmt -view -restrict "SerialNumber=%S%" -out "RequestID,SerialNumber,Request.Disposition,Request.RevokedReason,CertificateHash,NotAfter" >> "%VIEW%" 2>&1
set "RC=%ERRORLEVEL%"
if "%RC%"=="0" exit /b 0
>>"%LOG%" echo @@CR view %N% %SERIAL% %RC%
echo %N% %SERIAL% was not written to %VIEW%: %RC%
set /a STOPPED=STOPPED+1
exit /b 0

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
if %FAILS% GEQ 3 set "ABORT=3-failures-in-a-row"
call :one
exit /b 0

:item_left
set /a LEFT=LEFT+1
exit /b 0

:one
if "%OPTION%"=="first" set "ENOUGH=1"
exit /b 0

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
"%CERTUTIL%" -config "%CACONFIG%" -view -restrict "SerialNumber=%S%%~1" -out "%COLUMN%" > "%OUT%" 2>&1
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

:doubt
exit /b 1

:unasked
exit /b 9

:expected
set "SEEK 440000000a178d21c3ed6a457500000000000a=1"
set "SEEK 440000000b178d21c3ed6a457500000000000b=1"
set "SEEK 4400000014178d21c3ed6a4575000000000014=1"
set "SEEK f000000014178d21c3ed6a4575000000000014=1"
set "SEEK 00f000000014178d21c3ed6a4575000000000014=1"
exit /b 0

:listed
if "%SEEK 440000000a178d21c3ed6a457500000000000a%%LEFT 440000000a178d21c3ed6a457500000000000a%"=="1" call :unlisted "1" "440000000a178d21c3ed6a457500000000000a"
if "%SEEK 440000000b178d21c3ed6a457500000000000b%%LEFT 440000000b178d21c3ed6a457500000000000b%"=="1" call :unlisted "2" "440000000b178d21c3ed6a457500000000000b"
if "%SEEK 4400000014178d21c3ed6a4575000000000014%%LEFT 4400000014178d21c3ed6a4575000000000014%"=="1" call :unlisted "3" "4400000014178d21c3ed6a4575000000000014"
if "%SEEK f000000014178d21c3ed6a4575000000000014%%SEEK 00f000000014178d21c3ed6a4575000000000014%%LEFT f000000014178d21c3ed6a4575000000000014%"=="11" call :unlisted "4" "f000000014178d21c3ed6a4575000000000014"
exit /b 0

:unlisted
set "UNLISTED=1"
set /a STOPPED=STOPPED+1
>>"%LOG%" echo @@CR unlisted %~1 %~2
echo %~1 %~2 is not in the new CRL.
exit /b 0

:items
call :item "revoke" "1" "440000000a178d21c3ed6a457500000000000a" "" "4" "ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab ab" "" "" ""
call :item "revoke" "2" "440000000b178d21c3ed6a457500000000000b" "" "6" "" "" "" ""
call :item "revoke" "3" "4400000014178d21c3ed6a4575000000000014" "" "1" "f3 50 a5 c0 1c 46 13 c4 4a 1c b1 bc c7 fb ac 1e 57 8c 2f 65" "dummies\4400000014178d21c3ed6a4575000000000014.cer" "55ce9028dfc7a5299f9122e2e3fc19d7823e9b9db5b52042c501ba2505eb70e8" "55 ce 90 28 df c7 a5 29 9f 91 22 e2 e3 fc 19 d7 82 3e 9b 9d b5 b5 20 42 c5 01 ba 25 05 eb 70 e8"
call :item "revoke" "4" "f000000014178d21c3ed6a4575000000000014" "00" "0" "1f 0e 54 3b 64 8e 88 97 38 58 8e 10 23 f2 c6 86 00 0c 75 23" "dummies\f000000014178d21c3ed6a4575000000000014.cer" "0e256501cec4fecc8c1a19d752b72aae29616a8b39542a9764391f3f35aab533" "0e 25 65 01 ce c4 fe cc 8c 1a 19 d7 52 b7 2a ae 29 61 6a 8b 39 54 2a 97 64 39 1f 3f 35 aa b5 33"
call :item "restore" "5" "4400000016378d21c3ed6a4575000000000016" "" "" "e0 e3 c6 55 74 7e 64 59 d2 97 b0 70 c0 19 85 8b 48 e0 07 25" "certs\4400000016378d21c3ed6a4575000000000016.cer" "d166126244c3f14b9ac327bc047ba02c712e27954176951b776f19e8a31318dc" "d1 66 12 62 44 c3 f1 4b 9a c3 27 bc 04 7b a0 2c 71 2e 27 95 41 76 95 1b 77 6f 19 e8 a3 13 18 dc"
exit /b 0

:whole
set "WHOLE=1"
exit /b 0
