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

if not exist "dummies" mkdir "dummies"
call :sign "3" "4400000014178d21c3ed6a4575000000000014" "1122334455667788" "dummies\4400000014178d21c3ed6a4575000000000014.cer"
call :sign "4" "f000000014178d21c3ed6a4575000000000014" "1122334455667788" "dummies\f000000014178d21c3ed6a4575000000000014.cer"
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

:whole
set "WHOLE=1"
exit /b 0
